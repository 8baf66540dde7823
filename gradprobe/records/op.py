"""Ops: calls that the function mode saw, in columns because there are hundreds of thousands."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Kind(IntEnum):
    """What a function does with values and gradient, as far as lineage needs to know."""

    QUIET = 0  # reads facts about a tensor, not its values: never recorded
    COMPUTE = 1
    VIEW = 2  # the result may share memory with an argument
    WRITE = 3  # changes its first argument, which keeps part of its old value
    OVERWRITE = 4  # changes all of its first argument
    SHAPE_ONLY = 5  # uses the shape of its argument: `zeros_like`
    RANDOM = 6  # draws; its tensor arguments give shape only
    HOST = 7  # makes a tensor from data outside torch
    DETACH = 8  # `.detach()`, `.detach_()`, `.data`: gradient ends by request
    COPY = 9  # `torch.tensor(x)`, `x.new_tensor(y)`: values without history
    CAST = 10  # may change the dtype; only the first argument carries values
    EXIT = 11  # values leave torch
    SELECT = 12  # an integer or boolean argument only selects
    FUNCTION = 13  # a custom autograd.Function
    PARAMETER = 14  # nn.Parameter(x): a new leaf from x's values
    ALIAS = 15  # not a call: a write reached another tensor through shared memory
    REENTRY = 16  # not a call: host data that had left torch came back
    LEAF = 17  # requires_grad_(), the setter, `.grad`, hooks: handled apart, never a row
    UNSEEN = 18  # not a call: code that was not seen made a tensor with a history


# The callee of a row of the kind UNSEEN that was no call but a tensor met with its history.
NO_CALL: Final = "code that was not seen"

# Said where a CUDA graph ran: whatever it wrote, no op was seen to.
REPLAYED: Final = "a CUDA graph was replayed: what it computed was not seen"

# Circumstances of one op, as bits.
GRAD_OFF: Final = 1
INFERENCE: Final = 2
INSIDE_FUNCTION: Final = 4  # within the forward of a custom autograd.Function
UNTRACKED: Final = 8  # a write that reached a tensor of which autograd knows no view: `x.data`
UNCOUNTED: Final = 16  # a write that the tensor's version counter did not count


@dataclass(frozen=True, slots=True)
class Callee:
    """A function that was called: its name as users write it, and its kind."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Op:
    """One row of the table, made on demand."""

    index: int
    callee: Callee
    site: int
    region: int
    flags: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    sequence: int


@dataclass(frozen=True, slots=True)
class OpTable:
    """Columns, one entry an op: about 50 bytes in all.

    `head` packs callee (16 bits), flags (8 bits) and grad-mode region (the rest). `site` indexes
    the trace's frames. `sequence` is autograd's node counter after the call. `inputs_end[i]` and
    `outputs_end[i]` are where op i's values end in `inputs` and `outputs`.
    """

    callees: tuple[Callee, ...]
    head: array[int]
    site: array[int]
    sequence: array[int]
    inputs: array[int]
    inputs_end: array[int]
    outputs: array[int]
    outputs_end: array[int]

    def __len__(self) -> int:
        return len(self.head)

    def inputs_of(self, index: int) -> array[int]:
        return self.inputs[self.inputs_end[index - 1] if index else 0 : self.inputs_end[index]]

    def outputs_of(self, index: int) -> array[int]:
        return self.outputs[self.outputs_end[index - 1] if index else 0 : self.outputs_end[index]]

    def callee_of(self, index: int) -> Callee:
        return self.callees[self.head[index] & 0xFFFF]

    def flags_of(self, index: int) -> int:
        return (self.head[index] >> 16) & 0xFF

    def region_of(self, index: int) -> int:
        return self.head[index] >> 24

    def op(self, index: int) -> Op:
        return Op(
            index=index,
            callee=self.callee_of(index),
            site=self.site[index],
            region=self.region_of(index),
            flags=self.flags_of(index),
            inputs=self.inputs_of(index),
            outputs=self.outputs_of(index),
            sequence=self.sequence[index],
        )
