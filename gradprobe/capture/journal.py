"""The hot path's data layout: flat columns that each op appends to."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import torch
from torch import Tensor

from gradprobe.capture.call_stack import CallStack
from gradprobe.capture.identity import Identity, TensorRef
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import has_history, version
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    HOST,
    LEAF,
    MET,
    PARAMETER,
    RANDOM,
    REQUIRES_GRAD,
    TensorMeta,
)

_SOURCE = LEAF | MET | RANDOM | HOST  # values that a reader may ask the device of
_POINTER, _NUMBER = 8, 28  # bytes of a list's entry, and of an int
_TICK = 15  # at one op of so many and one more it is asked whether progress is to be told


class Journal:
    """Columns of ops and values while they are being written (see `records.op.OpTable`)."""

    __slots__ = (
        "callee_of",
        "callees",
        "flags",
        "forgotten",
        "gaps",
        "head",
        "identity",
        "inputs",
        "inputs_end",
        "made_at",
        "meta",
        "meta_of",
        "metas",
        "new_value",
        "outputs",
        "outputs_end",
        "rewrites",
        "row",
        "sequence",
        "site",
        "stack",
        "tick",
        "unseen_of",
    )

    def __init__(self) -> None:
        self.stack = CallStack()
        self.identity = Identity()
        self.head = array("q")
        # Lists where the numbers exist as objects anyway (places, values): appending to an array
        # takes three times as long.
        self.site: list[int] = []
        self.sequence = array("q")
        self.inputs: list[int] = []
        self.inputs_end = array("i")
        self.outputs: list[int] = []
        self.outputs_end = array("i")
        self.meta: list[int] = []
        self.flags = bytearray()
        self.made_at = array("i")
        self.rewrites = array("i")  # value, the one before, version: three to a write
        self.forgotten = 0  # ops
        self.gaps: list[tuple[int, int]] = []  # node numbers of their stretches: [from, to)
        self.metas: list[TensorMeta] = []
        self.meta_of: dict[tuple[torch.Size, torch.dtype, str], int] = {}
        self.callees: list[Callee] = []
        self.callee_of: dict[Callee, int] = {}
        self.unseen_of: dict[str, int] = {}
        self.tick: Callable[[], None] | None = None  # see `pace`
        self.row = _appender(self)
        self.new_value = _numberer(self)

    def callee(self, callee: Callee) -> int:
        number = self.callee_of.get(callee)
        if number is None:
            number = self.callee_of[callee] = len(self.callees)
            self.callees.append(callee)
        return number

    def unseen(self, name: str) -> int:
        """The number of a callee that was not looked into."""
        number = self.unseen_of.get(name)
        if number is None:
            number = self.unseen_of[name] = self.callee(Callee(name, Kind.UNSEEN))
        return number

    def learn(self, key: tuple[torch.Size, torch.dtype, str]) -> int:
        shape, dtype, device = key
        number = self.meta_of[key] = len(self.metas)
        self.metas.append(
            TensorMeta(
                shape=tuple(int(n) for n in shape),
                dtype=str(dtype).removeprefix("torch."),
                device=device,
                differentiable=dtype.is_floating_point or dtype.is_complex,
            )
        )
        return number

    def meet(self, tensor: Tensor) -> TensorRef:
        """Enter a tensor that no op was seen to make."""
        flags = MET
        if tensor.requires_grad:
            flags |= REQUIRES_GRAD
            if not has_history(tensor):
                flags |= LEAF
        if isinstance(tensor, torch.nn.Parameter):
            flags |= PARAMETER
        elif flags & REQUIRES_GRAD:
            flags |= DERIVED | CONNECTED
        value = self.new_value(tensor, flags)
        self.made_at[value] = -1
        return self.identity.add(tensor, value)

    def rewrote(self, tensor: Tensor, before: int, value: int) -> int | None:
        """A write gave a tensor another value; returns its version counter."""
        now = version(tensor)
        self.rewrites.extend((value, before, -1 if now is None else now))
        return now

    def forget(self, shift: Shift) -> None:
        """Take a stretch of rows and values out. In place: the writers below hold the columns."""
        a, b = shift.first.op, shift.last.op
        va, vb, twin = shift.first.value, shift.last.value, shift.twin
        down = vb - va
        if a < b:
            before = self.sequence[a - 1] if a else 0
            if self.gaps and self.gaps[-1][0] == before:
                self.gaps.pop()
            self.gaps.append((before, self.sequence[b - 1]))
        self.forgotten += b - a
        for column, ends in ((self.inputs, self.inputs_end), (self.outputs, self.outputs_end)):
            first, last = ends[a - 1] if a else 0, ends[b - 1] if b else 0
            column[first:] = [
                v if v < va else v - down if v >= vb else twin(v) for v in column[last:]
            ]
            ends[a:] = array("i", [end - (last - first) for end in ends[b:]])
        for rows in (self.head, self.site, self.sequence):
            del rows[a:b]
        for values in (self.meta, self.flags):
            del values[va:vb]
        self.made_at[va:] = array("i", [op if op < a else op - (b - a) for op in self.made_at[vb:]])
        self._forget_rewrites(shift)

    def _forget_rewrites(self, shift: Shift) -> None:
        columns = self.rewrites
        start = len(columns)
        while start and columns[start - 3] >= shift.first.value:
            start -= 3
        later = columns[start:]
        del columns[start:]
        for n in range(0, len(later), 3):
            value, before, version = later[n : n + 3]
            if not shift.made(value):
                columns.extend((shift.value(value), shift.value(before), version))

    def in_gap(self, node: int) -> bool:
        """Whether the op that made a node is forgotten."""
        return any(first <= node < last for first, last in self.gaps)

    def record_bytes(self) -> int:
        """Memory of the columns, in bytes: numbers in arrays, pointers, and the values' numbers."""
        arrays = (
            self.head,
            self.sequence,
            self.inputs_end,
            self.outputs_end,
            self.made_at,
            self.rewrites,
        )
        lists = (self.site, self.inputs, self.outputs, self.meta)
        size = sum(len(column) * column.itemsize for column in arrays)
        size += sum(len(column) * _POINTER for column in lists)
        return size + len(self.flags) * (1 + _NUMBER)


# The two that run at every op: with what they need bound once, as looking it up would cost as much
# as the work itself.


def _appender(journal: Journal) -> Callable[..., int]:
    """Journal.row: append one op; returns its index."""
    head, sequences = journal.head, journal.sequence
    inputs, outputs = journal.inputs, journal.outputs
    add_head, add_site, add_sequence = head.append, journal.site.append, sequences.append
    add_inputs, end_inputs = inputs.extend, journal.inputs_end.append
    add_outputs, end_outputs = outputs.extend, journal.outputs_end.append

    def row(
        callee: int,
        circumstances: int,
        region: int,
        place: int,
        sequence: int,
        used: list[int],
        made: list[int],
    ) -> int:
        """`sequence` 0: no call, the node counter is where it was."""
        index = len(head)
        if not sequence and index:
            sequence = sequences[-1]
        add_head(callee | circumstances << 16 | region << 24)
        add_site(place)
        add_sequence(sequence)
        add_inputs(used)
        end_inputs(len(inputs))
        add_outputs(made)
        end_outputs(len(outputs))
        if not index & _TICK and journal.tick is not None:
            journal.tick()
        return index

    return row


def _numberer(journal: Journal) -> Callable[[Tensor, int], int]:
    """Journal.new_value: a number for the value that a tensor holds now."""
    head, flags_of, meta_of = journal.head, journal.flags, journal.meta_of
    add_flags, add_meta, add_made_at = flags_of.append, journal.meta.append, journal.made_at.append
    learn = journal.learn
    last_shape: torch.Size | None = None
    last_dtype: torch.dtype | None = None
    last_meta = 0

    def meta_for(tensor: Tensor, device: str) -> int:
        key = (tensor.shape, tensor.dtype, device)
        known = meta_of.get(key)
        return learn(key) if known is None else known

    def new_value(tensor: Tensor, flags: int) -> int:
        # Runs of ops over one shape are the rule: comparing with the last is half of a look-up.
        nonlocal last_shape, last_dtype, last_meta
        if flags & _SOURCE:
            meta = meta_for(tensor, str(tensor.device))
        else:
            shape, dtype = tensor.shape, tensor.dtype
            if shape != last_shape or dtype is not last_dtype:
                last_shape, last_dtype = shape, dtype
                last_meta = meta_for(tensor, "unknown")
            meta = last_meta
        value = len(flags_of)
        add_flags(flags)
        add_meta(meta)
        add_made_at(len(head))
        return value

    return new_value
