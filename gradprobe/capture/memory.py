"""Where values hide from the list of arguments: shared memory, and data that left torch."""

from __future__ import annotations

import math
import sys
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

from gradprobe.capture.graph_walk import behind
from gradprobe.capture.identity import TensorRef
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import has_history
from gradprobe.records.op import UNTRACKED, Callee, Kind
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import CONNECTED, DERIVED, HOST, LEAF, PARAMETER, REQUIRES_GRAD
from gradprobe.records.trace import Exit, Reentry

_ALIAS = Callee("write through shared memory", Kind.ALIAS)
_RETURN = Callee("data from outside torch", Kind.REENTRY)
_UNSEEN = Callee("code that was not seen", Kind.UNSEEN)
_VIEW = Callee("memory shared with a tensor", Kind.VIEW)
_KEPT = 256  # numbers, and lists, that left in an earlier iteration

_Key = TypeVar("_Key")
_Entry = TypeVar("_Entry")


class Memory:
    """Aliases of live tensors, and what left torch and came back."""

    __slots__ = (
        "_arrays",
        "_lists",
        "exits",
        "follow_all",
        "journal",
        "leaves",
        "met_as",
        "numbers",
        "reentries",
        "unseen",
    )

    def __init__(self, journal: Journal, leaves: LeafWatch, follow_all: bool) -> None:
        self.journal = journal
        self.leaves = leaves
        # Exits are kept for values that come from a leaf; from any tensor when the user named
        # leaves that torch does not know as such.
        self.follow_all = follow_all
        self.met_as: dict[int, tuple[int, int, Where]] = {}
        self.unseen: list[int] = []  # places of first use of what unseen code had made
        self.exits: list[Exit] = []
        self.reentries: list[Reentry] = []
        # A Python number that left, by its value: exact, so a coincidence is out of the question
        # for all but the round ones, which are not kept.
        self.numbers: dict[float, int] = {}
        self._lists: dict[int, tuple[tuple[Any, ...], int]] = {}
        self._arrays: list[tuple[int, int, weakref.ref[Any], int]] = []

    def meet(self, tensor: Tensor, place: int, position: int | None = None) -> TensorRef:
        """The entry of a tensor, made now if no op was seen to make the tensor.

        `position` is the tensor's among the arguments of the op that user code calls at `place`: it
        leads to a name. None where torch's own code makes the call.
        """
        journal = self.journal
        ref = journal.identity.table.get(id(tensor))
        if ref is not None:
            return ref
        ref = journal.meet(tensor)
        flags = journal.flags[ref.value]
        if position is not None:
            stack = journal.stack.stack(sys._getframe(3))
            self.met_as[ref.value] = (place, position, stack)
        if flags & LEAF and not flags & PARAMETER:
            self.leaves.made(tensor, ref.value, "met", sys._getframe(3))
        if flags & REQUIRES_GRAD and not flags & LEAF:
            self._made_unseen(tensor, ref.value, place)
        if flags & (REQUIRES_GRAD | PARAMETER):
            return ref
        twin = journal.identity.same_storage(tensor)
        if twin is not None:
            self._pseudo(_VIEW, place, [twin.value], [ref.value])
            journal.identity.share(tensor, ref)
        elif self._arrays:
            self.came_back(tensor, ref.value, place)
        return ref

    def _made_unseen(self, tensor: Tensor, value: int, place: int) -> None:
        """A tensor with a history, from code that no function mode sees: taken as one op."""
        journal = self.journal
        self.unseen.append(place)
        last = journal.sequence[-1] if journal.sequence else 0
        sources = []
        for found in behind(tensor.grad_fn, last):
            if isinstance(found, Tensor):
                sources.append(self.meet(found, place).value)
            elif not journal.in_gap(found):
                op = bisect_right(journal.sequence, found)
                if op < len(journal.head):
                    start = journal.outputs_end[op - 1] if op else 0
                    sources.extend(journal.outputs[start : journal.outputs_end[op]])
        tracked = [v for v in dict.fromkeys(sources) if journal.flags[v] & REQUIRES_GRAD]
        if tracked:
            self._pseudo(_UNSEEN, place, tracked, [value])

    def viewed(self, first: Tensor, result: Any) -> None:
        """The result of a viewing op may share memory with its first argument."""
        table = self.journal.identity.table
        base = table.get(id(first))
        for item in (result,) if isinstance(result, Tensor) else result:
            if item is first or not isinstance(item, Tensor):
                continue
            ref = table.get(id(item))
            if ref is not None and base is not None:
                self.journal.identity.share(first, base)
                if not ref.storage:
                    self.journal.identity.share(item, ref)

    def wrote(self, tensor: Tensor, index: int) -> None:
        """A write reached every live alias whose memory overlaps: each gets a new value."""
        journal = self.journal
        ref = journal.identity.table.get(id(tensor))
        if ref is None or not ref.storage:
            return
        for other in journal.identity.sharing(tensor, ref):
            alias = other()
            if alias is None:
                continue
            old = other.value
            flags = journal.flags[old] | (journal.flags[ref.value] & (DERIVED | CONNECTED))
            if not alias.requires_grad:
                flags &= ~(REQUIRES_GRAD | CONNECTED)
            elif has_history(alias):  # a view of it was given a history: so was the whole
                flags |= REQUIRES_GRAD
            value = journal.new_value(alias, flags)
            row = self._pseudo(_ALIAS, journal.site[index], [old, ref.value], [value])
            circumstances = journal.head[index] >> 16 << 16  # as the write's own
            if _base(alias) is not _base(tensor):
                circumstances |= UNTRACKED << 16
            journal.head[row] |= circumstances
            other.value = value
            journal.rewrote(alias, old, value)
            if flags & LEAF:
                self.leaves.written(old, value)

    def rebound(self, tensor: Tensor, source: Any) -> None:
        """`x.data = y`: x is now on y's memory, and no longer on its own."""
        ref = self.journal.identity.table.get(id(tensor))
        if ref is not None and isinstance(source, Tensor):
            self.journal.identity.part(ref)
            self.viewed(source, tensor)

    def left(
        self, op: int, through: str, inputs: list[int], args: tuple[Any, ...], result: Any
    ) -> None:
        """A tensor's values left torch."""
        number = len(self.exits)
        value = inputs[0]
        self.exits.append(Exit(op, value, through))
        if isinstance(result, float) and math.isfinite(result) and not (result * 64).is_integer():
            self.numbers[result] = number
        elif isinstance(result, list) and result:
            self._lists[id(result)] = (_fingerprint(result), number)
        elif hasattr(result, "__array_interface__"):
            tensor = args[0]
            start = tensor.data_ptr()
            end = start + tensor.numel() * tensor.element_size()
            self._arrays.append((start, end, weakref.ref(result), number))

    def number_used(self, number: float, inputs: list[int], place: int) -> None:
        """A Python number that is bit for bit one that left is an argument of an op."""
        exit = self.numbers.get(number)
        if exit is None:
            return
        source = self.exits[exit]
        journal = self.journal
        value = len(journal.flags)
        journal.flags.append(HOST | DERIVED)
        journal.meta.append(journal.meta[source.value])
        journal.made_at.append(len(journal.head))
        op = self._pseudo(_RETURN, place, [source.value], [value])
        self.reentries.append(Reentry(exit, op, value, proven=True))
        inputs.append(value)

    def came_back(self, tensor: Tensor, value: int, place: int) -> None:
        """A tensor on the memory of an array that had left."""
        start = tensor.data_ptr()
        for first, end, array, exit in self._arrays:
            if first <= start < end and array() is not None:
                self.journal.flags[value] |= DERIVED
                op = self._pseudo(_RETURN, place, [self.exits[exit].value], [value])
                self.reentries.append(Reentry(exit, op, value, proven=True))
                return

    def made_from_host(self, value: int, data: Any, place: int) -> None:
        """A tensor was made from a list or an array: is it one that had left?"""
        exit = self._exit_of(data)
        if exit is not None:
            self.journal.flags[value] |= DERIVED  # it may leave again
            op = self._pseudo(_RETURN, place, [self.exits[exit].value], [value])
            self.reentries.append(Reentry(exit, op, value, proven=True))

    def _exit_of(self, data: Any) -> int | None:
        if isinstance(data, list):
            known = self._lists.get(id(data))
            # The list itself is not kept alive: its ends tell it from a later one at its address.
            if known is not None and known[0] == _fingerprint(data):
                return known[1]
            return None
        while data is not None:
            for _, _, array, number in reversed(self._arrays):
                if array() is data:
                    return int(number)
            data = getattr(data, "base", None)
        return None

    def forget(self, shift: Shift) -> None:
        """What left in a forgotten stretch left at the same line in one that is kept."""
        first = shift.first.value
        for value in [v for v in self.met_as if v >= first]:
            met = self.met_as.pop(value)
            if not shift.made(value):
                self.met_as[shift.value(value)] = met
        self.unseen[:] = dict.fromkeys(self.unseen)
        numbers, young = self._forget_exits(shift)
        self.reentries[:] = [
            replace(r, exit=numbers[r.exit], op=shift.op(r.op), value=shift.value(r.value))
            for r in self.reentries
            if r.exit in numbers and not shift.gone(r.op)
        ]
        left = {n: numbers[exit] for n, exit in self.numbers.items() if exit in numbers}
        self.numbers = _newest(left, [exit >= young for exit in left.values()])
        lists = {n: (f, numbers[exit]) for n, (f, exit) in self._lists.items() if exit in numbers}
        self._lists = _newest(lists, [exit >= young for _, exit in lists.values()])
        self._arrays[:] = [
            (start, end, array, numbers[exit])
            for start, end, array, exit in self._arrays
            if exit in numbers and array() is not None
        ]

    def _forget_exits(self, shift: Shift) -> tuple[dict[int, int], int]:
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

    def _pseudo(self, callee: Callee, place: int, inputs: list[int], outputs: list[int]) -> int:
        """A row for something that was no call."""
        journal = self.journal
        index = journal.row(journal.callee(callee), 0, 0, place, 0, inputs, outputs)
        for value in outputs:
            journal.made_at[value] = index
        return index


def _newest(entries: dict[_Key, _Entry], young: Sequence[bool]) -> dict[_Key, _Entry]:
    """Those of the present, and of those before the newest: most are never asked for again."""
    old = len(entries) - sum(young)
    kept = {}
    for (key, entry), is_young in zip(entries.items(), young, strict=True):
        if is_young or old <= _KEPT:
            kept[key] = entry
        old -= not is_young
    return kept


def _base(tensor: Tensor) -> Tensor:
    """The tensor whose views autograd counts `tensor` among: itself, if it is no such view."""
    base: Tensor | None = tensor._base
    return tensor if base is None else base


def _fingerprint(data: list[Any]) -> tuple[Any, ...]:
    """The length and the two ends of a nested list."""
    first: Any = data
    last: Any = data
    while isinstance(first, list) and first:
        first = first[0]
    while isinstance(last, list) and last:
        last = last[-1]
    return len(data), repr(first), repr(last)
