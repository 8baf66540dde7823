"""What left torch, and what came back: told by the number, the object or the memory itself."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.contents import Contents, fingerprint
from gradprobe.capture.exports import SHARING, Exports
from gradprobe.capture.journal import Journal
from gradprobe.capture.shift import Shift, newest
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import DERIVED, HOST
from gradprobe.records.trace import Exit, Reentry

_RETURN = Callee("data from outside torch", Kind.REENTRY)

_COMPUTED = 12  # digits of a number that nobody wrote
_MOST_COMMON = 4096  # others that are known again at once
_MOST = 16  # the latest that DLPack lent are known again


class Returned:
    """Exits and returns of one run."""

    __slots__ = (
        "_arrays",
        "_capsules",
        "_common",
        "_lists",
        "contents",
        "exits",
        "exits_now",
        "exports",
        "journal",
        "lineage",
        "numbers",
        "odd",
        "reentries",
    )

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.contents = Contents()
        self.exports = Exports(journal.identity, self.contents)
        self.exits: list[Exit] = []
        self.exits_now: dict[int, int] = {}  # their numbers since the last was forgotten
        self.reentries: list[Reentry] = []
        # A Python number that left, by its value: exact, so a coincidence is out of the question
        # for all but the round ones, which are not kept.
        self.numbers: dict[float, int] = {}
        # Ops that took a number which was computed outside torch, after another had left.
        self.odd: list[int] = []
        self._common: set[float] = set()
        # The exits that a value outside torch comes from, where such values are followed.
        self.lineage: Callable[[Any], Sequence[int]] | None = None
        self._lists: dict[int, tuple[tuple[Any, ...], int]] = {}
        # Memory lent by DLPack, which lives as long as somebody holds the capsule or its array.
        self._capsules: deque[tuple[int, int, int]] = deque(maxlen=_MOST)
        self._arrays: list[tuple[int, int, weakref.ref[Any], int]] = []

    def left(
        self, op: int, through: str, inputs: list[int], args: tuple[Any, ...], result: Any
    ) -> None:
        """A tensor's values left torch."""
        number = len(self.exits)
        value = inputs[0]
        self.exits.append(Exit(op, value, through))
        if through in SHARING:
            self.exports.left(number, args[0])
        if isinstance(result, float) and math.isfinite(result) and not (result * 64).is_integer():
            self.numbers[result] = number
        elif isinstance(result, list) and result:
            self._lists[id(result)] = (fingerprint(result), number)
        elif through == "__dlpack__" and args[0].layout is torch.strided:
            self._capsules.append((*_span(args[0]), number))
        elif hasattr(result, "__array_interface__"):
            start, end = _span(args[0])
            self._arrays.append((start, end, weakref.ref(result), number))

    def number_used(self, number: float, inputs: list[int], place: int) -> None:
        """A Python number that is bit for bit one that left is an argument of an op."""
        exit = self.numbers.get(number)
        if exit is None:
            # What people write has few digits; what is computed has many.
            if number not in self._common and len(repr(number)) >= _COMPUTED:
                self.odd.append(len(self.journal.head))
            elif len(self._common) < _MOST_COMMON:
                self._common.add(number)
            return
        inputs.append(self.host_value((exit,), number, place))

    def met_number(self, thing: Any, inputs: list[int], place: int) -> None:
        """An argument of an op that is no tensor, after something left: a number that came back?"""
        if type(thing) is float:
            if self.numbers:
                self.number_used(thing, inputs, place)
        elif type(thing).__module__ == "numpy" and getattr(thing, "ndim", 1) == 0:
            self.odd.append(len(self.journal.head))

    def host_value(self, exits: Sequence[int], data: Any, place: int) -> int:
        """A number or an array that came back by these exits, as a value of its own."""
        journal = self.journal
        value = len(journal.flags)
        journal.flags.append(HOST | DERIVED)
        dtype = getattr(data, "dtype", None)
        if dtype is not None and dtype.kind in "iub":  # it may be used to select
            key = (torch.Size(data.shape), torch.int64, "cpu")
            known = journal.meta_of.get(key)
            journal.meta.append(journal.learn(key) if known is None else known)
        else:
            journal.meta.append(journal.meta[self.exits[exits[0]].value])
        journal.made_at.append(len(journal.head))
        self._returned(exits, value, place, self._is_same(exits, data))
        return value

    def _returned(self, exits: Sequence[int], value: int, place: int, same: bool = True) -> None:
        """Proven: the value came back from what left by these exits."""
        self.journal.flags[value] |= DERIVED  # it may leave again
        sources = [self.exits[exit].value for exit in exits]
        op = self.pseudo(_RETURN, place, sources, [value])
        self.reentries += [Reentry(exit, op, value, proven=True, same=same) for exit in exits]

    def _is_same(self, exits: Sequence[int], data: Any) -> bool:
        """Whether data is what left by an exit, or was computed of it."""
        left = self.numbers.get(data) if isinstance(data, float) else self._exit_of(data)
        return len(exits) == 1 and left == exits[0]

    def new_from_host(
        self, tensor: Tensor, callee: Callee, data: Any, place: int, exit: int | None = None
    ) -> None:
        """A tensor was made from data outside torch by a call that no function mode sees.

        `exit` is the one by which the data left, where that is known.
        """
        journal = self.journal
        value = journal.new_value(tensor, HOST)
        ref = journal.identity.table.get(id(tensor))
        if ref is None:
            journal.identity.add(tensor, value)
        else:
            ref.value = value
        journal.row(journal.callee(callee), 0, 0, place, 0, [], [value])
        if exit is not None:
            self._returned((exit,), value, place)
        elif not self._lent(tensor, data, value, place):
            self.made_from_host(value, data, place)

    def _lent(self, tensor: Tensor, data: Any, value: int, place: int) -> bool:
        """Whether a tensor is on memory that another lent by DLPack, as its capsule or array."""
        if not self._capsules or (self.lineage is not None and self.lineage(data)):
            return False
        while getattr(data, "base", None) is not None:
            data = data.base
        if type(data).__name__ != "PyCapsule":
            return False
        start = tensor.data_ptr()
        for first, end, exit in reversed(self._capsules):
            if first <= start < end:
                self._returned((exit,), value, place)
                return True
        return False

    def came_back(self, tensor: Tensor, value: int, place: int) -> bool:
        """Whether a tensor is on the memory of an array that had left: then its values return."""
        if not self._arrays:
            return False
        start = tensor.data_ptr()
        for first, end, array, exit in self._arrays:
            if first <= start < end and array() is not None:
                self._returned((exit,), value, place)
                return True
        return False

    def made_from_host(self, value: int, data: Any, place: int) -> None:
        """A tensor was made from a list or an array: is it one that had left?"""
        exits = self.lineage(data) if self.lineage is not None else ()
        if not exits:
            exit = self._exit_of(data)
            exits = () if exit is None else (exit,)
        if exits:
            self._returned(exits, value, place, self._is_same(exits, data))

    def _exit_of(self, data: Any) -> int | None:
        if isinstance(data, list):
            known = self._lists.get(id(data))
            # The list itself is not kept alive: its ends tell it from a later one at its address.
            if known is not None and known[0] == fingerprint(data):
                return known[1]
            return None
        while data is not None:
            for _, _, array, number in reversed(self._arrays):
                if array() is data:
                    return int(number)
            data = getattr(data, "base", None)
        return None

    def forget_exits(self, shift: Shift) -> None:
        """What left in a forgotten stretch left at the same line in one that is kept."""
        self.odd[:] = [shift.op(op) for op in self.odd if not shift.gone(op)]
        if not self.exits:  # so of most loops, and all below is about exits
            self.exits_now = {}
            return
        numbers, young = self._renumber(shift)
        self.reentries[:] = [
            replace(r, exit=numbers[r.exit], op=shift.op(r.op), value=shift.value(r.value))
            for r in self.reentries
            if r.exit in numbers and not shift.gone(r.op)
        ]
        left = {n: numbers[exit] for n, exit in self.numbers.items() if exit in numbers}
        self.numbers = newest(left, [exit >= young for exit in left.values()])
        lists = {n: (f, numbers[exit]) for n, (f, exit) in self._lists.items() if exit in numbers}
        self._lists = newest(lists, [exit >= young for _, exit in lists.values()])
        self._arrays[:] = [
            (start, end, array, numbers[exit])
            for start, end, array, exit in self._arrays
            if exit in numbers and array() is not None
        ]
        lent = [(a, b, numbers[exit]) for a, b, exit in self._capsules if exit in numbers]
        self._capsules = deque(lent, maxlen=_MOST)
        self.exports.forget(numbers)
        self.exits_now = numbers

    def _renumber(self, shift: Shift) -> tuple[dict[int, int], int]:
        """The number that each exit has now, of one that is gone that of its twin.

        And the number of the first exit after the stretch.
        """
        sites = self.journal.site
        numbers: dict[int, int] = {}
        at: dict[tuple[int, str], int] = {}
        kept: list[Exit] = []
        young = -1
        for number, exit in enumerate(self.exits):
            place = (sites[exit.op], exit.through)
            if shift.gone(exit.op):
                if place in at:
                    numbers[number] = at[place]
                continue
            if young < 0 and exit.op >= shift.last.op:
                young = len(kept)
            numbers[number] = at[place] = len(kept)
            kept.append(replace(exit, op=shift.op(exit.op), value=shift.value(exit.value)))
        self.exits[:] = kept
        return numbers, young if young >= 0 else len(kept)

    def pseudo(self, callee: Callee, place: int, inputs: list[int], outputs: list[int]) -> int:
        """A row for something that was no call."""
        journal = self.journal
        index = journal.row(journal.callee(callee), 0, 0, place, 0, inputs, outputs)
        for value in outputs:
            journal.made_at[value] = index
        return index


def _span(tensor: Tensor) -> tuple[int, int]:
    start = tensor.data_ptr()
    return start, start + tensor.numel() * tensor.element_size()
