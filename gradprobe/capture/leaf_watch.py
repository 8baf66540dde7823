"""Tensors that the program made to require grad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor
from torch.nn import Parameter

from gradprobe.capture.identity import TensorRef
from gradprobe.capture.journal import Journal
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import in_transform
from gradprobe.records.op import Callee, Kind
from gradprobe.records.sampling import Made, Where
from gradprobe.records.tensor import CONNECTED, DERIVED, LEAF, PARAMETER, REQUIRES_GRAD

# What loads a tensor from a file or a pickle, and what copies example inputs for a trace.
_RESTORERS = ("torch._utils", "torch.jit._trace")
_SWITCH = Callee("requires_grad_", Kind.VIEW)


def _torch_restores(frame: FrameType | None) -> bool:
    """Whether it is torch that switches a tensor, which it loads or copies for itself."""
    return frame is not None and frame.f_globals.get("__name__") in _RESTORERS


@dataclass(slots=True)
class WatchedLeaf:
    """One leaf while the program runs; its tensor is known by number only."""

    ref: TensorRef
    values: list[int]
    made: Made
    where: Where
    is_parameter: bool
    place: int
    requires_grad: bool = True
    in_module: bool = False
    frozen_at: int = 0
    # Its place, and which one of those made there in the same iteration it is.
    key: tuple[int, int] = (-1, 0)


@dataclass(slots=True)
class LeafWatch:
    """The leaves, in the order in which they were made."""

    journal: Journal
    leaves: list[WatchedLeaf] = field(default_factory=list)
    by_value: dict[int, WatchedLeaf] = field(default_factory=dict)
    reads: list[tuple[int, int]] = field(default_factory=list)
    # Told of a leaf that came into being, and whether it may be a module's.
    on_leaf: Callable[[bool], None] | None = None

    def made(self, tensor: Tensor, value: int, made: Made, frame: FrameType | None) -> None:
        """A tensor that requires grad came into being."""
        self.enter(
            WatchedLeaf(
                ref=self.journal.identity.table[id(tensor)],
                values=[value],
                made=made,
                where=self.journal.stack.stack(frame),
                is_parameter=isinstance(tensor, Parameter),
                place=self.journal.stack.place(frame),
            )
        )

    def enter(self, leaf: WatchedLeaf) -> None:
        if self.on_leaf is not None:
            self.on_leaf(leaf.is_parameter)
        self.leaves.append(leaf)
        for value in leaf.values:
            self.by_value[value] = leaf

    def written(self, before: int, value: int) -> None:
        """The values of a leaf changed in place, as an optimiser's step does."""
        leaf = self.by_value.get(before)
        if leaf is not None:
            leaf.values.append(value)
            self.by_value[value] = leaf

    def switched(self, tensor: Tensor, by_method: bool, frame: FrameType | None) -> None:
        """`requires_grad_(flag)` or the setter was called on a tensor."""
        journal = self.journal
        place = journal.stack.place(frame)
        ref = journal.identity.table.get(id(tensor))
        known = ref is not None
        if ref is None:
            # Met before the call it would require grad or not: what counts is what it does now.
            ref = journal.meet(tensor)
        value = ref.value
        if in_transform(tensor) and journal.flags[value] & DERIVED and tensor.requires_grad:
            # Inside `torch.func.grad` it stands for a value of the program's, and is no leaf.
            journal.flags[value] |= REQUIRES_GRAD | CONNECTED
            return
        leaf = self.by_value.get(value)
        if leaf is not None and leaf.requires_grad != tensor.requires_grad:
            value = self._anew(tensor, ref, leaf, place)
        if not tensor.requires_grad:
            journal.flags[value] &= ~(REQUIRES_GRAD | LEAF | CONNECTED)
            if leaf is not None:
                leaf.requires_grad = False
                leaf.frozen_at = place
            elif not isinstance(tensor, Parameter) and not _torch_restores(frame):
                self.made(tensor, value, "requires_grad_", frame)
                self.leaves[-1].requires_grad = False
                self.leaves[-1].frozen_at = place
            return
        if not tensor.is_leaf:
            return
        if leaf is not None:
            leaf.requires_grad, leaf.frozen_at = True, 0
        elif known or not isinstance(tensor, Parameter):
            made: Made = "requires_grad_" if by_method else "setter"
            self.made(tensor, value, "loaded" if _torch_restores(frame) else made, frame)
            self.leaves[-1].in_module = ref.in_module
        journal.flags[value] |= REQUIRES_GRAD | LEAF | DERIVED | CONNECTED
        if isinstance(tensor, Parameter):
            journal.flags[value] |= PARAMETER

    def _anew(self, tensor: Tensor, ref: TensorRef, leaf: WatchedLeaf, place: int) -> int:
        """A leaf was switched: what is made of it from now on differs in who follows it."""
        journal = self.journal
        value = journal.new_value(tensor, journal.flags[ref.value])
        journal.row(journal.callee(_SWITCH), 0, 0, place, 0, [ref.value], [value])
        ref.value = value
        leaf.values.append(value)
        self.by_value[value] = leaf
        return value

    def registered(self, parameter: Any) -> None:
        """A parameter became part of a module: the model's, not a leaf the program optimises."""
        ref = self.journal.identity.table.get(id(parameter))
        if ref is None:
            return
        ref.in_module = True
        leaf = self.by_value.get(ref.value)
        if leaf is not None:
            leaf.in_module = True

    def grad_read(self, value: int, place: int) -> None:
        self.reads.append((value, place))

    def forget(self, shift: Shift) -> None:
        """A leaf that was made and died in a forgotten stretch is forgotten with it."""
        first = shift.first.value
        self.leaves[:] = [
            leaf for leaf in self.leaves if not (shift.made(leaf.values[0]) and leaf.ref() is None)
        ]
        for value in [v for v in self.by_value if v >= first]:
            del self.by_value[value]
        for leaf in self.leaves:
            if leaf.values[-1] >= first:
                leaf.values[:] = _once_each(shift.values(leaf.values))
                for value in leaf.values:
                    if value >= first or self._stands_in(value):
                        self.by_value[value] = leaf
        self.reads[:] = dict.fromkeys((shift.value(value), place) for value, place in self.reads)

    def _stands_in(self, value: int) -> bool:
        """Whether no live leaf is known by a value yet."""
        known = self.by_value.get(value)
        return known is None or known.ref() is None


def _once_each(values: Sequence[int]) -> list[int]:
    """The first value stays the first and the last the last; of others that recur, the last."""
    later = list(dict.fromkeys(reversed(values[1:])))[::-1]
    return [values[0], *later] if later != [values[0]] else later
