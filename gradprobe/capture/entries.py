"""Where functions that user code calls begin: a denoiser may be one of them.

For each op there the stack is taken. A place that lies in a loop of its own function is no
beginning, and is forgotten after a few turns.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable
from types import CodeType, FrameType

from gradprobe.capture.call_stack import CallStack
from gradprobe.capture.journal import Journal
from gradprobe.capture.shift import Shift
from gradprobe.records.sampling import Where

_MOST = 4096
_VARIABLES = frozenset({"LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF"})
_LOADS = _VARIABLES | {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_METHOD", "LOAD_ATTR"}
_IN_A_ROW = 6


class Entries:
    """Stacks by op, at the ops with which functions begin."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.stacks: dict[int, Where] = {}
        self._in_a_row: dict[int, int] = {}
        # A loop asks at each of its backward passes, and to read a function's code takes time.
        self._handed: dict[tuple[int, CodeType], bool] = {}

    def begins(self, frame: FrameType, place: int) -> bool:
        """An op runs at a place where a function may begin; whether to be told of more there."""
        journal = self.journal
        op = len(journal.head)
        if len(self.stacks) >= _MOST:
            return False
        if journal.site and self._in(journal.site[-1], frame.f_code):
            self._in_a_row[place] = self._in_a_row.get(place, 0) + 1
            if self._in_a_row[place] > _IN_A_ROW:
                return False
        else:
            self._in_a_row[place] = 0
        self.stacks[op] = journal.stack.stack(frame)
        return True

    def forget(self, shift: Shift) -> None:
        self.stacks = {shift.op(n): w for n, w in self.stacks.items() if not shift.gone(n)}

    def called_at(self, places: Iterable[int]) -> dict[int, str]:
        """The names by which places, and those that called functions, name what they call.

        `net` of `self.net(x)`.
        """
        stack = self.journal.stack
        found = {}
        for place in {*places, *(stack.callers[w.frames[-1][1]] for w in self.stacks.values())}:
            at = stack.places[place]
            name = None if at is None else name_at(*at)
            if name is not None:
                found[place] = name
        return found

    def _in(self, place: int, code: CodeType) -> bool:
        known = self.journal.stack.places[place]
        return known is not None and known[0] is code

    def held(self) -> frozenset[int]:
        """Those places that call what a variable holds, or what goes by another name than its own.

        `model(x)` where `model` is a parameter or an outer function's variable, `self.fn(x)` where
        `fn` is no method: what is called there was handed over.
        """
        stack = self.journal.stack
        begun = {where.frames[-1][1] for where in self.stacks.values()}
        called = {}
        for place in begun:
            at = stack.places[place]
            if stack.callers[place] and at is not None:
                called[stack.callers[place]] = at[0]
        for pair in called.items():
            if pair not in self._handed:
                self._handed[pair] = _is_handed(stack, *pair)
        return frozenset(pair[0] for pair in called.items() if self._handed[pair])


def _is_handed(stack: CallStack, site: int, called: CodeType) -> bool:
    place = stack.places[site]
    if place is None:
        return False
    code, lasti = place
    name, variable = _callee(code, lasti)
    return name is not None and (variable or name != called.co_name)


def name_at(code: CodeType, lasti: int) -> str | None:
    """The name by which a place names what it calls: `net` of `self.net(x)`."""
    return _callee(code, lasti)[0]


def _callee(code: CodeType, lasti: int) -> tuple[str | None, bool]:
    """The name by which the call at `lasti` names what it calls; whether that is a variable.

    It is what the instructions load that begin where the call's expression begins.
    """
    positions = list(code.co_positions())
    start = positions[lasti // 2][0], positions[lasti // 2][2]
    name, variable = None, False
    for instruction in dis.get_instructions(code):
        at = positions[instruction.offset // 2]
        if (at[0], at[2]) != start or instruction.offset >= lasti:
            continue
        if instruction.opname in _LOADS:
            name, variable = instruction.argval, instruction.opname in _VARIABLES
    return name, variable
