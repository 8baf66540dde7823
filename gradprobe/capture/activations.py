"""Running calls of chosen functions: which of their variables were assigned since the last look.

Only weak references to what the variables hold are kept.
"""

from __future__ import annotations

import dis
import inspect
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from gradprobe.capture.stage_selectors import Selector

# Told of the selector, the new object, the frame, and the offset of the instruction that stored it;
# answers whether that became a stage.
Told = Callable[[Selector, Any, FrameType, int], bool]

# References to a frame's own copy of its variables when nobody else looks at it: the frame's,
# one local variable, and the argument of `getrefcount`.
_ALONE = 3
_STORES = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL")


class Stores:
    """Where code stores into one of its variables."""

    __slots__ = ("_lines", "_stores")

    def __init__(self, code: CodeType, variable: str) -> None:
        self._lines = [position[0] for position in code.co_positions()]
        self._stores = [
            (instruction.offset, self._lines[instruction.offset // 2])
            for instruction in dis.get_instructions(code)
            if variable in _stored(instruction)
        ]

    def after(self, since: int) -> int:
        """The store in the line that runs from instruction `since` on; `since` if there is none."""
        line = self._lines[since // 2] if since >= 0 else None
        near = [offset for offset, at in self._stores if at == line]
        return next((offset for offset in near if offset >= since), near[0] if near else since)


def _stored(instruction: dis.Instruction) -> Sequence[str]:
    name = instruction.opname
    names: Sequence[str] = instruction.argval
    if name.startswith("STORE_FAST_"):  # two instructions in one, from Python 3.13 on
        return names[:1] if name.endswith("LOAD_FAST") else names
    return (instruction.argval,) if name in _STORES else ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A selector, and where the code of the function that it names stores into its variable."""

    selector: Selector
    stores: Stores


class Activation:
    """One call of a chosen function: what its variables held when it was last looked at."""

    __slots__ = ("_at", "_chosen", "_held")

    def __init__(self, chosen: Sequence[Choice], frame: FrameType, *, running: bool) -> None:
        """`running` says that the call began earlier, so that it holds what was assigned before."""
        self._chosen = chosen
        self._held: dict[Selector, weakref.ref[Any]] = {}
        self._at = frame.f_lasti
        names = frame.f_locals
        for choice in chosen:
            selector = choice.selector
            if running or selector.variable in frame.f_code.co_freevars:
                self._differs(selector, names.get(selector.variable))

    def look(self, frame: FrameType, told: Told, matched: set[Selector]) -> None:
        """Tell of the variables that were assigned since the last look."""
        since, self._at = self._at, frame.f_lasti
        names = frame.f_locals
        for choice in self._chosen:
            selector = choice.selector
            value = names.get(selector.variable)
            if self._differs(selector, value) and told(
                selector, value, frame, choice.stores.after(since)
            ):
                matched.add(selector)

    def _differs(self, selector: Selector, value: object) -> bool:
        """Whether `value` is another object than before; what allows no weak reference is none."""
        before = self._held.get(selector)
        if before is not None and before() is value:
            return False
        try:
            self._held[selector] = weakref.ref(value)
        except TypeError:  # None, a number, a tuple
            self._held.pop(selector, None)
            return False
        return True


def forget(frame: FrameType | None) -> None:
    """Empty the copy of a function's variables that looking at it left in its frame.

    A tensor in it would outlive its variable. The copy belongs to the program where that called
    `locals()`, and is then left alone; module and class bodies have no copy, but the variables.
    """
    if frame is not None and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        copy = frame.f_locals
        if type(copy) is dict and sys.getrefcount(copy) == _ALONE:
            copy.clear()
