"""Where values hide from the list of arguments: shared memory, and data that left torch."""

from __future__ import annotations

import math
import sys
import weakref
from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.contents import Contents, fingerprint
from gradprobe.capture.exports import SHARING, Exports
from gradprobe.capture.graph_walk import behind
from gradprobe.capture.identity import TensorRef
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.shift import Shift, newest
from gradprobe.capture.strangers import Strangers
from gradprobe.capture.torch_internals import NoSubclasses, has_history, version
from gradprobe.records.op import NO_CALL, UNCOUNTED, UNTRACKED, Callee, Kind
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    HOST,
    LEAF,
    PARAMETER,
    REQUIRES_GRAD,
    Overwritten,
)
from gradprobe.records.trace import Exit, Reentry

_ALIAS = Callee("write through shared memory", Kind.ALIAS)
_RETURN = Callee("data from outside torch", Kind.REENTRY)
_UNSEEN = Callee(NO_CALL, Kind.UNSEEN)
_VIEW = Callee("memory shared with a tensor", Kind.VIEW)


class Memory:
    """Aliases of live tensors, and what left torch and came back."""

    __slots__ = (
        "_arrays",
        "_lists",
        "before",
        "contents",
        "exits",
        "exits_now",
        "exports",
        "follow_all",
        "journal",
        "leaves",
        "met_as",
        "numbers",
        "overwritten",
        "reentries",
        "strangers",
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
        self.strangers = Strangers(journal)
        leaves.on_leaf = self.strangers.leaf_made
        self.exits: list[Exit] = []
        self.exits_now: dict[int, int] = {}  # their numbers since the last was forgotten
        self.reentries: list[Reentry] = []
        # A Python number that left, by its value: exact, so a coincidence is out of the question
        # for all but the round ones, which are not kept.
        self.numbers: dict[float, int] = {}
        self.contents = Contents()
        self.exports = Exports(journal.identity, self.contents)
        # What the tensors on the memory that is written hold before that, by their `id()`.
        self.before: dict[int, int | None] = {}
        self.overwritten: list[Overwritten] = []
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
            journal.identity.count_apart(ref)
        elif not self.came_back(tensor, ref.value, place):
            self.strangers.met(tensor, ref.value, place)
        return ref

    def _made_unseen(self, tensor: Tensor, value: int, place: int) -> None:
        """A tensor with a history, from code that no function mode sees: taken as one op."""
        self.unseen.append(place)
        tracked = self.sources_of(tensor, place)
        if tracked:
            self._pseudo(_UNSEEN, place, tracked, [value])

    def sources_of(self, tensor: Tensor, place: int) -> list[int]:
        """The values that a history of unseen origin goes back to, as far as they are known."""
        journal = self.journal
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
        return [v for v in dict.fromkeys(sources) if journal.flags[v] & REQUIRES_GRAD]

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

    def detached(self, first: Tensor, result: Any) -> None:
        """`x.data`: a view with a version counter of its own."""
        self.viewed(first, result)
        ref = self.journal.identity.table.get(id(result))
        if ref is not None:
            self.journal.identity.count_apart(ref)

    def will_write(self, tensor: Any, rebinds: bool) -> None:
        """The next op writes a tensor: what it holds is noted if a write to it may go uncounted."""
        self.before.clear()
        table = self.journal.identity.table
        with suppress(Exception), NoSubclasses():  # then it is unknown what the write changed
            for one in tensor if isinstance(tensor, list | tuple) else (tensor,):
                ref = table.get(id(one))
                if ref is not None:
                    self._note(one, ref, rebinds)

    def _note(self, tensor: Tensor, ref: TensorRef, rebinds: bool) -> None:
        identity = self.journal.identity
        if rebinds:
            if tensor.is_contiguous():
                self.before[id(tensor)] = self.contents.of(tensor)
        elif ref.storage in identity.split:
            others = list(identity.sharing(tensor, ref))
            if others or not tensor.requires_grad:
                held = self.before[id(tensor)] = self.contents.of(tensor)
                for alias in (other() for other in others):
                    if alias is not None:
                        same = _elements(alias) == _elements(tensor)
                        self.before[id(alias)] = held if same else self.contents.of(alias)

    def _compare(self, tensor: Tensor, op: int, held: int | None = None) -> int | None:
        """What the write since `will_write`, by the row `op`, did to a tensor: what it holds.

        `held` is that, where it is known.
        """
        before = self.before.get(id(tensor))
        if before is None:
            return None
        with suppress(Exception):
            held = self.contents.of(tensor) if held is None else held
            if held is not None:
                self.overwritten.append(Overwritten(op, before, held))
        return held

    def wrote(self, tensor: Tensor, index: int) -> None:
        """A write reached every live alias whose memory overlaps: each gets a new value."""
        journal = self.journal
        ref = journal.identity.table.get(id(tensor))
        if ref is None or not ref.storage:
            return
        if self.exports.latest:
            self.exports.written(ref.storage)
        split, held = ref.storage in journal.identity.split, None
        if split:
            held = self._compare(tensor, index)
            ref.version = version(tensor)
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
            now = journal.rewrote(alias, old, value)
            if split:
                if now is not None and now == other.version:
                    circumstances |= UNCOUNTED << 16
                    same = held is not None and _elements(alias) == _elements(tensor)
                    self._compare(alias, row, held if same else None)
                other.version = now
            journal.head[row] |= circumstances
            other.value = value
            if flags & LEAF:
                self.leaves.written(old, value)

    def rebound(self, tensor: Tensor, source: Any, index: int, uncounted: bool) -> None:
        """`x.data = y`: x is now on y's memory, and no longer on its own."""
        identity = self.journal.identity
        ref = identity.table.get(id(tensor))
        if ref is not None and isinstance(source, Tensor):
            if uncounted:
                self.journal.head[index] |= UNCOUNTED << 16
            if tensor.is_contiguous():
                self._compare(tensor, index)
            identity.part(ref)
            self.viewed(source, tensor)
            identity.count_apart(ref)

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

    def came_back(self, tensor: Tensor, value: int, place: int) -> bool:
        """Whether a tensor is on the memory of an array that had left: then its values return."""
        if not self._arrays:
            return False
        start = tensor.data_ptr()
        for first, end, array, exit in self._arrays:
            if first <= start < end and array() is not None:
                self.journal.flags[value] |= DERIVED
                op = self._pseudo(_RETURN, place, [self.exits[exit].value], [value])
                self.reentries.append(Reentry(exit, op, value, proven=True))
                return True
        return False

    def made_from_host(self, value: int, data: Any, place: int) -> None:
        """A tensor was made from a list or an array: is it one that had left?"""
        exit = self._exit_of(data)
        if exit is not None:
            self.returned(exit, value, place)

    def returned(self, exit: int, value: int, place: int) -> None:
        """What had left by an exit is known to have come back as a value."""
        self.journal.flags[value] |= DERIVED  # it may leave again
        op = self._pseudo(_RETURN, place, [self.exits[exit].value], [value])
        self.reentries.append(Reentry(exit, op, value, proven=True))

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

    def forget(self, shift: Shift) -> None:
        """What left in a forgotten stretch left at the same line in one that is kept."""
        first = shift.first.value
        for value in [v for v in self.met_as if v >= first]:
            met = self.met_as.pop(value)
            if not shift.made(value):
                self.met_as[shift.value(value)] = met
        self.unseen[:] = dict.fromkeys(self.unseen)
        self.strangers.forget(shift)
        numbers, young = self._forget_exits(shift)
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
        self.exports.forget(numbers)
        self.exits_now = numbers
        kept = (o for o in self.overwritten if not shift.gone(o.op))
        self.overwritten[:] = [replace(o, op=shift.op(o.op)) for o in kept]

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


def _elements(tensor: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    """Alike for tensors of the same elements in memory."""
    return int(tensor.storage_offset()), tensor.shape, tensor.stride()


def _base(tensor: Tensor) -> Tensor:
    """The tensor whose views autograd counts `tensor` among: itself, if it is no such view."""
    base: Tensor | None = tensor._base
    return tensor if base is None else base
