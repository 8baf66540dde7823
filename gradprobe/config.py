"""`[tool.gradprobe]` of a pyproject.toml: what a project wants of every trace.

Read by `gradprobe trace` and by the pytest fixture; `gradprobe.Probe` reads no file. Importing this
module imports no torch, and everything in the table is checked before a program runs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gradprobe.capture.stage_selectors import parse as parse_selectors
from gradprobe.diagnose.allow import Allowed
from gradprobe.diagnose.allow import parse as parse_allowed
from gradprobe.diagnose.choice import parse as parse_codes
from gradprobe.errors import BadConfig, UsageError
from gradprobe.records.baseline import Baseline
from gradprobe.records.baseline import read as read_baseline
from gradprobe.records.numerics import NUMERICS
from gradprobe.records.report import FIND_STAGES, FOLLOW_HOST, OPS, SEVERITIES

FILE, TABLE = "pyproject.toml", "tool.gradprobe"
FAIL_ON = (*SEVERITIES, "never")


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a project, checked. `file` is where they stand, None for no file.

    `stages` holds `NAME=FILE_OR_MODULE:FUNCTION:VARIABLE`; the other fields are as for
    `gradprobe.Probe`; a `baseline` is a path from the file's folder on. None is a setting that the
    file does not have. `shared`: many runs have it, each a part of what it is for.
    """

    file: Path | None = None
    stages: tuple[str, ...] = ()
    leaves: tuple[str, ...] | None = None
    root: str | None = None
    denoiser: str | None = None
    find_stages: str | None = None
    ops: str | None = None
    numerics: str | None = None
    follow_host: str | None = None
    allow: tuple[Allowed, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    baseline: str | None = None
    fail_on: str | None = None
    progress: bool | None = None
    shared: bool = False

    def arguments(
        self,
        *,
        stages: str | Sequence[str] | Mapping[str, str] = (),
        leaves: Sequence[str] | None = None,
        root: str | None = None,
        denoiser: str | None = None,
        find_stages: str | None = None,
        ops: str | None = None,
        numerics: str | None = None,
        follow_host: str | bool | None = None,
        allow: str | Sequence[str | Allowed] = (),
        select: str | Sequence[str] = (),
        ignore: str | Sequence[str] = (),
        baseline: str | Path | Baseline | None = None,
    ) -> dict[str, Any]:
        """The arguments of a `gradprobe.Probe` that is asked for these on top of the file's.

        What is asked for here wins. Stages add up, but one given here takes the place of those of
        the same name; `allow` and `ignore` add up, and `select` takes the place of both the file's
        `select` and its `ignore`. `numerics` as `auto` begins with stages, `follow_host` as `auto`
        with off. Raises `UsageError` for a selector, an entry or a code of another form, and for a
        baseline that cannot be read.
        """
        chosen, ignored = parse_codes(select), parse_codes(ignore)
        given = parse_selectors(stages)
        names = {selector.name for selector in given}
        kept = [text for text in self.stages if text.partition("=")[0] not in names]
        return {
            "stages": (*kept, *map(str, given)),
            "leaves": (self.leaves or ()) if leaves is None else leaves,
            "root": self.root if root is None else root,
            "denoiser": self.denoiser if denoiser is None else denoiser,
            "find_stages": find_stages or self.find_stages or "auto",
            "ops": ops or self.ops or "all",
            "numerics": "nodes" if (numerics or self.numerics) == "nodes" else "stages",
            "follow_host": _either(follow_host, self.follow_host) in ("on", True),
            "allow": (*self.allow, *parse_allowed(allow)),
            "select": chosen or self.select,
            "ignore": ignored if chosen else tuple(dict.fromkeys((*self.ignore, *ignored))),
            "baseline": self._baseline(baseline),
        }

    def _baseline(self, asked: str | Path | Baseline | None) -> Baseline | None:
        if isinstance(asked, Baseline):
            return asked
        if asked is not None:
            return read_baseline(asked)
        if self.baseline is None or self.file is None:
            return None
        return replace(read_baseline(self.file.parent / self.baseline), shared=self.shared)


def _either(asked: str | bool | None, own: str | None) -> str | bool | None:
    return own if asked is None else asked


def nearest(start: Path, *, shared: bool = False) -> Config:
    """The settings of the first pyproject.toml with our table, from `start` upwards; else none.

    Raises `BadConfig` as `load` does.
    """
    for folder in (start, *start.parents):
        file = folder / FILE
        if file.is_file():
            table = _table(file)
            if table is not None:
                return _checked(file, table, shared)
    return Config()


def load(file: Path) -> Config:
    """The settings in `file`. Raises `BadConfig`: it cannot be read, or a key or value is wrong."""
    table = _table(file)
    if table is None:
        raise BadConfig(_shown(file), f"it has no table [{TABLE}]")
    return _checked(file, table, shared=False)


def _table(file: Path) -> object:
    """What stands under our name in a TOML file, None where nothing does."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadConfig(_shown(file), error.strerror or str(error)) from error
    except ValueError as error:  # also what is no UTF-8
        raise BadConfig(_shown(file), f"it is not TOML ({error})") from error
    tool = content.get("tool")
    return tool.get("gradprobe") if isinstance(tool, dict) else None


def _checked(file: Path, table: object, shared: bool) -> Config:
    if not isinstance(table, dict):
        raise BadConfig(_shown(file), f"{TABLE} must be a table: write [{TABLE}]")
    config = Config(file)
    for key, value in table.items():
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KEYS)}"
            raise BadConfig(_shown(file), f"unknown key {key!r} in [{TABLE}]; {hint}")
        try:
            config = replace(config, **{key.replace("-", "_"): _KEYS[key](value)})
        except UsageError as error:
            raise BadConfig(_shown(file), f"{TABLE}.{key}: {error}") from error
    if shared:
        allow = tuple(replace(a, shared=True) for a in config.allow)
        config = replace(config, allow=allow, shared=True)
    return config


def _stages(value: object) -> tuple[str, ...]:
    if isinstance(value, dict):
        flat = []
        for name, rest in value.items():
            several = rest if isinstance(rest, list) else [rest]
            if not several or not all(isinstance(one, str) for one in several):
                raise UsageError(
                    f"{name} must be a string FILE_OR_MODULE:FUNCTION:VARIABLE or a list"
                )
            flat += [f"{name}={one}" for one in several]
    elif isinstance(value, list):
        flat = list(_strings('"NAME=FILE_OR_MODULE:FUNCTION:VARIABLE"')(value))
    else:
        raise UsageError(
            f'it must be a table, NAME = "FILE_OR_MODULE:FUNCTION:VARIABLE", not {_word(value)}'
        )
    return tuple(map(str, parse_selectors(flat)))


def _allow(value: object) -> tuple[Allowed, ...]:
    return parse_allowed(_strings('"GP301"')(value))


def _codes(value: object) -> tuple[str, ...]:
    return parse_codes(_strings('"GP3"')(value))


def _strings(example: str) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise UsageError(f"it must be a list such as [{example}], not {_word(value)}")
        for one in value:
            if not isinstance(one, str) or not one.strip():
                raise UsageError(f"it must be a list such as [{example}]; {one!r} is not one")
        return tuple(value)

    return read


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"it must be a name, not {_word(value)}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"it must be true or false, not {_word(value)}")
    return value


def _one_of(choices: Sequence[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            near = get_close_matches(str(value), choices, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"it must be one of {', '.join(choices)}, not {value!r}{hint}")
        return value

    return read


_KEYS: dict[str, Callable[[object], Any]] = {
    "stages": _stages,
    "leaves": _strings('"z0"'),
    "root": _name,
    "denoiser": _name,
    "find-stages": _one_of(FIND_STAGES),
    "ops": _one_of(OPS),
    "numerics": _one_of(("auto", *NUMERICS)),
    "follow-host": _one_of(FOLLOW_HOST),
    "allow": _allow,
    "select": _codes,
    "ignore": _codes,
    "baseline": _name,
    "fail-on": _one_of(FAIL_ON),
    "progress": _flag,
}


def _word(value: object) -> str:
    kinds = {str: "a string", bool: "a boolean", dict: "a table", list: "a list"}
    return kinds.get(type(value), repr(value)) if value != "" else "an empty string"


def _shown(file: Path) -> str:
    """The file as a user would name it: relative to the current directory where that is below."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
