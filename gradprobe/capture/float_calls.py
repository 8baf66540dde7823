"""`float(x)` of the program's modules, while values are followed.

The built-in insists on the very type float, so that what it returns can carry nothing. A module in
whose code the name is only ever called is given a name `float` of its own for the while: a function
that returns a followed float. Where the name is used otherwise (`isinstance(x, float)`,
`dtype=float`) it stays what it is, and a number is known again only if it is the same bit for bit.
"""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from gradprobe.capture.host_patches import Mark, Since
from gradprobe.capture.host_values import followed, lineage_of

_NAME = "float"


class FloatCalls:
    """Gives each module of user code its `float`, as soon as that changes nothing else."""

    def __init__(self, mark: Mark, since: Since, is_plumbing: Callable[[str], bool]) -> None:
        self._mark = mark
        self._since = since
        self._is_plumbing = is_plumbing
        self._asked: set[int] = set()
        self._given: list[dict[str, Any]] = []

    def met(self, frame: FrameType) -> None:
        """New code runs, in `frame`: in a module whose own imports are likely to be next."""
        names = frame.f_globals
        if id(names) in self._asked:
            return
        self._meet(names)
        for thing in list(names.values()):
            other = _names_of(thing)
            if other is None or id(other) in self._asked:
                continue
            if not self._is_plumbing(str(other.get("__file__"))):
                self._meet(other)

    def remove(self) -> None:
        for names in self._given:
            if names.get(_NAME) == self._float:
                del names[_NAME]
        self._given.clear()

    def _meet(self, names: dict[str, Any]) -> None:
        running = _top_level(names)
        later = _later(running)
        if not all(later):
            return  # an annotation that is yet to be evaluated: asked again when new code is met
        self._asked.add(id(names))
        inside = [called for code in _codes_of(names, running) for _, called in _uses(code)]
        if _NAME not in names and (later or inside) and all(inside):
            names[_NAME] = self._float
            self._given.append(names)

    def _float(self, x: Any = 0.0, /) -> Any:
        mark = self._mark()
        value = builtins.float(x)
        return followed(value, lineage_of(x) | self._since(mark))


def _names_of(thing: Any) -> dict[str, Any] | None:
    """The names of the module that something is, or was defined in."""
    if type(thing) is ModuleType:
        return vars(thing)
    if type(thing) is FunctionType:
        return thing.__globals__
    return None


def _top_level(names: dict[str, Any]) -> FrameType | None:
    """The frame in which a module's own text still runs."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_locals is names and frame.f_globals is names:
            return frame
        frame = frame.f_back
    return None


def _later(frame: FrameType | None) -> list[bool]:
    """Of the uses that the text of a module is yet to come to, which are calls."""
    if frame is None:
        return []
    return [called for at, called in _uses(frame.f_code) if at > frame.f_lasti]


def _codes_of(names: dict[str, Any], running: FrameType | None) -> Iterator[CodeType]:
    """The code of a module's functions and classes, nested ones too."""
    waiting: list[CodeType] = [] if running is None else _inside(running.f_code)
    for thing in list(names.values()):
        is_class = type(thing) is type  # the program's objects are looked at, never asked
        for member in list(vars(thing).values()) if is_class else (thing,):
            function = _function(member)
            if function is not None and function.__globals__ is names:
                waiting.append(function.__code__)
    seen: set[int] = set()
    while waiting:
        code = waiting.pop()
        if id(code) not in seen:
            seen.add(id(code))
            yield code
            waiting += _inside(code)


def _function(member: Any) -> FunctionType | None:
    """The function behind a method, a property or a decorator."""
    if type(member) in (staticmethod, classmethod):
        member = member.__func__
    elif type(member) is property:
        member = member.fget
    while type(member) is FunctionType and "__wrapped__" in vars(member):
        member = vars(member)["__wrapped__"]
    return member if type(member) is FunctionType else None


def _inside(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def _uses(code: CodeType) -> Iterator[tuple[int, bool]]:
    """Where code loads the name `float`, and whether that is in order to call it at once.

    Read off the bytes: `dis` would take seconds for the modules of a large library.
    """
    if _NAME not in code.co_names:
        return
    number, steps, extended = code.co_names.index(_NAME), code.co_code, 0
    for at in range(0, len(steps), 2):
        op, arg = steps[at], steps[at + 1] | extended
        extended = arg << 8 if op == _EXTENDED else 0
        if op == _GLOBAL and arg >> 1 == number:
            yield at, bool(arg & 1)  # with a NULL beside it: a call follows
        elif op in _BY_NAME and arg == number:
            around = steps[max(at - 2, 0)], steps[at + 2]
            yield at, op == _LOAD and _NULL in around


_EXTENDED, _GLOBAL = dis.opmap["EXTENDED_ARG"], dis.opmap["LOAD_GLOBAL"]
_LOAD, _NULL = dis.opmap["LOAD_NAME"], dis.opmap["PUSH_NULL"]
_BY_NAME = {dis.opmap[name] for name in ("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL")} | {_LOAD}
