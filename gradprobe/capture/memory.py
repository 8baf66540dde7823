"""Where values hide from the list of arguments: shared memory, and data that left torch."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.graph_walk import behind
from gradprobe.capture.identity import TensorRef
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.returned import Returned
from gradprobe.capture.shift import Shift
from gradprobe.capture.strangers import Strangers
from gradprobe.capture.torch_internals import NoSubclasses, has_history, version
from gradprobe.records.op import NO_CALL, UNCOUNTED, UNTRACKED, Callee, Kind
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    LEAF,
    PARAMETER,
    REQUIRES_GRAD,
    Overwritten,
)

_ALIAS = Callee("write through shared memory", Kind.ALIAS)
_UNSEEN = Callee(NO_CALL, Kind.UNSEEN)
_VIEW = Callee("memory shared with a tensor", Kind.VIEW)


class Memory(Returned):
    """Aliases of live tensors, and what left torch and came back."""

    __slots__ = (
        "before",
        "follow_all",
        "leaves",
        "met_as",
        "named",
        "overwritten",
        "strangers",
        "unseen",
    )

    def __init__(self, journal: Journal, leaves: LeafWatch, names: Sequence[str]) -> None:
        """`names` are those that the user gave leaves."""
        super().__init__(journal)
        self.leaves = leaves
        self.named = frozenset(re.split(r"[.:]", name)[-1] for name in names)
        # Exits are kept for values that come from a leaf; from any tensor when the user named
        # leaves that torch does not know as such.
        self.follow_all = bool(names)
        self.met_as: dict[int, tuple[int, int, Where]] = {}
        self.unseen: list[int] = []  # places of first use of what unseen code had made
        self.strangers = Strangers(journal)
        leaves.on_leaf = self.strangers.leaf_made
        # What the tensors on the memory that is written hold before that, by their `id()`.
        self.before: dict[int, int | None] = {}
        self.overwritten: list[Overwritten] = []

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
        known = position is not None and self._may_be_named(place)
        if flags & LEAF and (known or not flags & PARAMETER):
            self.leaves.made(tensor, ref.value, "met", sys._getframe(3))
        if flags & REQUIRES_GRAD and not flags & LEAF:
            self._made_unseen(tensor, ref.value, place)
        if flags & (REQUIRES_GRAD | PARAMETER):
            return ref
        twin = journal.identity.same_storage(tensor)
        if twin is not None:
            self.pseudo(_VIEW, place, [twin.value], [ref.value])
            journal.identity.share(tensor, ref)
            journal.identity.count_apart(ref)
        elif not self.came_back(tensor, ref.value, place):
            self.strangers.met(tensor, ref.value, place)
        return ref

    def _may_be_named(self, place: int) -> bool:
        """Whether the code at `place` has a name in it that the user gave a leaf.

        A module's parameters are none but by name, and which name is told once the source is read.
        """
        at = self.journal.stack.places[place] if self.named else None
        if at is None:
            return False
        code = at[0]
        names = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
        return not self.named.isdisjoint(names)

    def _made_unseen(self, tensor: Tensor, value: int, place: int) -> None:
        """A tensor with a history, from code that no function mode sees: taken as one op."""
        self.unseen.append(place)
        tracked = self.sources_of(tensor, place)
        if tracked:
            self.pseudo(_UNSEEN, place, tracked, [value])

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
            row = self.pseudo(_ALIAS, journal.site[index], [old, ref.value], [value])
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

    def forget(self, shift: Shift) -> None:
        """What left in a forgotten stretch left at the same line in one that is kept."""
        first = shift.first.value
        for value in [v for v in self.met_as if v >= first]:
            met = self.met_as.pop(value)
            if not shift.made(value):
                self.met_as[shift.value(value)] = met
        self.unseen[:] = dict.fromkeys(self.unseen)
        self.strangers.forget(shift)
        self.forget_exits(shift)
        kept = (o for o in self.overwritten if not shift.gone(o.op))
        self.overwritten[:] = [replace(o, op=shift.op(o.op)) for o in kept]


def _elements(tensor: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    """Alike for tensors of the same elements in memory."""
    return int(tensor.storage_offset()), tensor.shape, tensor.stride()


def _base(tensor: Tensor) -> Tensor:
    """The tensor whose views autograd counts `tensor` among: itself, if it is no such view."""
    base: Tensor | None = tensor._base
    return tensor if base is None else base
