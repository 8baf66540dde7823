"""Stage selectors: which function's which variable is a stage, and what to say of one unmatched."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import CodeType, FrameType
from typing import Any, Literal

from gradprobe.errors import UsageError
from gradprobe.records.report import Source

FORM = "NAME=FILE_OR_MODULE:FUNCTION:VARIABLE"
EXAMPLE = "denoised=k_diffusion/sampling.py:sample_euler:denoised"

# Of several assignments in one call of the function, or in one step of the sampler.
Keep = Literal["each", "first of call", "last of call", "first of step", "last of step"]


@dataclass(frozen=True, slots=True)
class Selector:
    """The variable `variable` of the function `function` in the file or module `place`.

    `place` is the ending of a path (`pkg/sampler.py`) or a module's dotted name; `function` is the
    qualified name, without the `<locals>` that Python writes into it. `sigma` is where the
    function's variables hold the noise level or timestep of what is assigned: a name, then any
    number of `.attribute` and `[name or number]` (`sigmas[i]`, `self.sigmas[self._step_index]`).
    An adapter's `place` and `function` may hold `*`, which stands for any text.

    `keep` says which assignments become records, where the function uses its variable for more than
    the stage: `sample = sample.to(...)` after the argument, `prev_sample` before noise is added.
    """

    name: str
    place: str
    function: str
    variable: str
    sigma: str | None = None
    source: Source = "declared"
    keep: Keep = "each"

    def __str__(self) -> str:
        return f"{self.name}={self.place}:{self.function}:{self.variable}"

    def covers(self, file: str, module: str) -> bool:
        """Whether code of this file and module is meant."""
        if not self.place.endswith(".py"):
            return self.place == module
        return f"/{file.replace(os.sep, '/')}".endswith(f"/{self.place.removeprefix('./')}")


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
        selector = Selector(name.strip(), place.replace(os.sep, "/"), plain(function), variable)
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


def plain(qualname: str) -> str:
    """A function's qualified name as users write it."""
    return qualname.replace("<locals>.", "")


class Search:
    """Finds the code that the selectors mean, and keeps what a report on the others needs."""

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self.selectors = selectors
        self.matched: set[Selector] = set()  # those whose variable became a stage
        self._places: set[tuple[str, str]] = set()  # file and module of all code that ran
        self._functions: dict[Selector, dict[str, bool]] = {s: {} for s in selectors}
        self._variables: dict[Selector, set[str]] = {}

    def chosen(self, frame: FrameType) -> tuple[Selector, ...]:
        """Those selectors that name a variable of the function of `frame`."""
        code = frame.f_code
        module = _module(frame.f_globals)
        self._places.add((code.co_filename, module))
        found = []
        for selector in self.selectors:
            if not selector.covers(code.co_filename, module):
                continue
            known = self._functions[selector]
            for function in _within(code):
                known.setdefault(function, False)
            name = plain(code.co_qualname)
            known[name] = True
            if name == selector.function:
                variables = variables_of(code)
                self._variables.setdefault(selector, set()).update(variables)
                if selector.variable in variables:
                    found.append(selector)
        return tuple(found)

    def unmatched(self) -> Iterator[str]:
        """A sentence for each selector that gave no stage, with the nearest names there are."""
        for selector in self.selectors:
            if selector not in self.matched:
                yield f"stage selector {selector}: {self._why(selector)}"

    def _why(self, selector: Selector) -> str:
        place, function = selector.place, selector.function
        functions = self._functions[selector]
        if not functions:
            return f"no code of {place} ran{_nearest(place, set(self._like(place)), 0.8)}"
        if function not in functions:
            return f"no function {function} in {place}{_nearest(function, functions)}"
        if not functions[function]:
            return f"{function} in {place} was not called"
        variables = self._variables[selector]
        if selector.variable not in variables:
            near = _nearest(selector.variable, variables)
            return f"no variable {selector.variable} in {function}{near}"
        return f"no tensor was assigned to {selector.variable} in {function}"

    def _like(self, place: str) -> Iterator[str]:
        """What ran, named as `place` is: modules, or endings of paths with as many parts."""
        for file, module in self._places:
            if module.startswith("gradprobe.capture"):
                continue  # no sampler of anybody's
            if place.endswith(".py"):
                yield "/".join(file.replace(os.sep, "/").split("/")[-len(place.split("/")) :])
            elif module:
                yield module


def variables_of(code: CodeType) -> set[str]:
    """Names that code of this object can bind; of a module or class body, all that it names."""
    names = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    return names if code.co_flags & inspect.CO_OPTIMIZED else names | {*code.co_names}


def _within(code: CodeType) -> Iterator[str]:
    """The functions that are defined inside `code`, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield plain(constant.co_qualname)
            yield from _within(constant)


def _module(names: Mapping[str, Any]) -> str:
    """The module's name; of a program run by `python -m`, the name that it was asked for by."""
    spec = names.get("__spec__")
    found = getattr(spec, "name", None) or names.get("__name__")
    return found if isinstance(found, str) else ""


def _nearest(name: str, known: Mapping[str, bool] | set[str], alike: float = 0.6) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=alike)
    return f"; nearest: {', '.join(near)}" if near else ""
