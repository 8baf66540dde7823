"""Reads `self.sigmas[self.step_index + 1]` out of a function's variables, without running code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gradprobe.capture.torch_internals import aside

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*)|(?P<number>\d+)|(?P<key>'[^']*')|(?P<sign>[-+.\[\]]))"
)


@dataclass(frozen=True, slots=True)
class Key:
    """What stands in quotes between brackets."""

    text: str


Index = int | Key | tuple["Path", int]


@dataclass(frozen=True, slots=True)
class Path:
    """A name, then attributes (text) and indexes (a number, a key, a path and what it adds)."""

    name: str
    steps: tuple[str | Index, ...]


@cache
def parsed(text: str) -> Path:
    """The path that `text` writes: a name, then `.attribute` and `[index]` in any number.

    An index is a number, a quoted key (`info['steps']`), or again a path, with a number added or
    taken away: `sigmas[i + 1]`. Raises `ValueError` for anything else.
    """
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"no path into variables: {text!r}")
        tokens.append(match.group().strip())
        at = match.end()
    try:
        path, rest = _path(tokens)
    except IndexError:
        rest = ["unfinished"]
    if rest:
        raise ValueError(f"no path into variables: {text!r}")
    return path


def _path(tokens: list[str]) -> tuple[Path, list[str]]:
    name, rest = tokens[0], tokens[1:]
    if not name.isidentifier():
        raise IndexError(name)
    steps: list[str | Index] = []
    while rest and rest[0] in (".", "["):
        if rest[0] == ".":
            if not rest[1].isidentifier():
                break
            steps.append(rest[1])
            rest = rest[2:]
        else:
            index, after = _index(rest[1:])
            if after[0] != "]":
                break
            steps.append(index)
            rest = after[1:]
    return Path(name, tuple(steps)), rest


def _index(tokens: list[str]) -> tuple[Index, list[str]]:
    if tokens[0].startswith("'"):
        return Key(tokens[0][1:-1]), tokens[1:]
    if tokens[0].isdigit():
        return int(tokens[0]), tokens[1:]
    if tokens[0] == "-":
        return -int(tokens[1]), tokens[2:]
    path, rest = _path(tokens)
    if rest[0] in ("+", "-"):
        return (path, int(rest[0] + rest[1])), rest[2:]
    return (path, 0), rest


def read(text: str, variables: Mapping[str, Any]) -> Any:
    """What the path leads to; None where it leads nowhere. Raises `ValueError` for no path."""
    path = parsed(text)
    with aside():
        try:
            return _follow(path, variables)
        except Exception:
            # Attributes and indexes are the program's own objects: whatever they raise here, the
            # program did not ask for them.
            return None


def _follow(path: Path, variables: Mapping[str, Any]) -> Any:
    found = variables[path.name]
    for step in path.steps:
        if isinstance(step, str):
            found = getattr(found, step)
        elif isinstance(step, int):
            found = found[step]
        elif isinstance(step, Key):
            found = found[step.text]
        else:
            index = _follow(step[0], variables)
            found = found[index + step[1] if step[1] else index]
    return found
