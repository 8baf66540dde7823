"""Stage selectors and clocks: which function's which variable is a stage, or begins a step."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from gradprobe.errors import UsageError
from gradprobe.records.report import Source

FORM = "NAME=FILE_OR_MODULE:FUNCTION:VARIABLE"
EXAMPLE = "denoised=k_diffusion/sampling.py:sample_euler:denoised"

# Of several assignments in one call of the function, or in one step of the sampler.
Keep = Literal[
    "each", "first of call", "last of call", "first of step", "last of step", "rest of step"
]


@dataclass(frozen=True, slots=True)
class Selector:
    """The variable `variable` of the function `function` in the file or module `place`.

    `place` is the ending of a path (`pkg/sampler.py`) or a module's dotted name; `function` is the
    qualified name, without the `<locals>` that Python writes into it. `sigma` is where the
    function's variables hold the noise level or timestep of what is assigned: a name, then any
    number of `.attribute` and `[index]` (`sigmas[i + 1]`, `self.sigmas[self._step_index]`,
    `info['sigma']`); where it leads nowhere, the level is left open. Without it, the level is that
    of the step. An adapter's `place` and `function` may hold `*`, which stands for any text.

    `keep` says which assignments become records, where the function uses its variable for more than
    the stage: `sample = sample.to(...)` after the argument, `prev_sample` before noise is added.
    The rest of a step is all but its first, as a second evaluation has a noise level of its own.
    """

    name: str
    place: str
    function: str
    variable: str
    sigma: str | None = None
    keep: Keep = "each"
    source: Source = "adapted"

    def __str__(self) -> str:
        return f"{self.name}={self.place}:{self.function}:{self.variable}"

    def covers(self, file: str, module: str) -> bool:
        """Whether code of this file and module is meant."""
        return covers(self.place, file, module)


@dataclass(frozen=True, slots=True)
class Clock:
    """A step of the sampler begins when the variable `variable` is assigned anew.

    Anything may be assigned: a tensor, a loop's number, a pair of times. The step's number is read
    from the function's variables at `step` (a path as for a selector's `sigma`) and divided by
    `per`, where the sampler counts denoiser calls; without `step`, assignments are counted from 0
    in each call of the function. An assignment that gives the same number goes on with its step.

    With `ends` the variable is assigned at the end of a step rather than at its beginning: the
    function is the update that a loop calls after its denoiser. The step then reaches from the end
    of the one before to this assignment (the last, if one call of the function assigns it often).
    Steps are counted from 0 as they end; each call of the function ends one, unless `step` is
    given: calls that find the same number there, one after the other, share a step.
    """

    place: str
    function: str
    variable: str
    step: str | None = None
    sigma: str | None = None
    per: int = 1
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is known of one library's samplers: which variables are stages, and what a step is."""

    name: str
    selectors: tuple[Selector, ...]
    clocks: tuple[Clock, ...] = ()


def parse(given: str | Sequence[str] | Mapping[str, str]) -> tuple[Selector, ...]:
    """The selectors that a user gave, each once.

    `given` holds `NAME=FILE_OR_MODULE:FUNCTION:VARIABLE`, or maps names to the rest. Raises
    `UsageError` for one of another form.
    """
    if isinstance(given, Mapping):
        given = [f"{name}={rest}" for name, rest in given.items()]
    elif isinstance(given, str):
        given = [given]
    return tuple(dict.fromkeys(_parsed(text) for text in given))


def _parsed(text: str) -> Selector:
    name, _, rest = text.partition("=")
    parts = rest.rsplit(":", 2)  # from the right: a drive has a colon too
    if name.strip() and len(parts) == 3:
        place, function, variable = parts
        selector = Selector(
            name.strip(),
            place.replace(os.sep, "/"),
            plain(function),
            variable,
            source="declared",
        )
        is_file = place.endswith(".py") and place != ".py"
        if (
            (is_file or _is_dotted(place))
            and all(part.isidentifier() or _is_special(part) for part in function.split("."))
            and variable.isidentifier()
        ):
            return selector
    raise UsageError(f"stage selector {text!r} is not {FORM}; for example {EXAMPLE}")


def _is_dotted(place: str) -> bool:
    return all(part.isidentifier() for part in place.split("."))


def _is_special(part: str) -> bool:
    return part.startswith("<") and part.endswith(">")


def covers(place: str, file: str, module: str) -> bool:
    """Whether `place`, of a selector or a clock, means code of this file and module."""
    if not place.endswith(".py"):
        return place == module or ("*" in place and fnmatchcase(module, place))
    path = f"/{file.replace(os.sep, '/')}"
    ending = f"/{place.removeprefix('./')}"
    return path.endswith(ending) or ("*" in place and fnmatchcase(path, f"*{ending}"))


def plain(qualname: str) -> str:
    """A function's qualified name as users write it."""
    return qualname.replace("<locals>.", "")
