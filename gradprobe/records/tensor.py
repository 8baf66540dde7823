"""Tensors as facts: shapes and flags, never the tensor."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import prod
from typing import Final

# What is known of one value, as bits.
REQUIRES_GRAD: Final = 1
LEAF: Final = 2  # a leaf of the autograd graph that requires grad
PARAMETER: Final = 4  # an nn.Parameter
DERIVED: Final = 8  # hint while recording: comes from a leaf by value
CONNECTED: Final = 16  # hint while recording: and every op between kept requires_grad
MET: Final = 32  # not made by an op that was seen: first met as an argument
RANDOM: Final = 64  # drawn from a random generator
HOST: Final = 128  # made from data outside torch: a list, an array, a number


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What many values share."""

    shape: tuple[int, ...]
    dtype: str  # "float32"
    device: str  # "cpu", "cuda:0"; "unknown" of what was computed: only sources are asked
    differentiable: bool  # floating or complex: only such a value can carry gradient


@dataclass(frozen=True, slots=True)
class ValueTable:
    """Every value seen, in order of birth; a value is a tensor between two writes to it.

    Columns: `meta[v]` indexes `metas`; `flags[v]` holds the bits above; `at[v]` is the index of the
    op that made it, or -1 for a value that was only met.
    """

    metas: tuple[TensorMeta, ...]
    meta: array[int]
    flags: bytes
    at: array[int]

    def __len__(self) -> int:
        return len(self.meta)

    def describe(self, value: int) -> TensorMeta:
        return self.metas[self.meta[value]]

    def elements(self, value: int) -> int:
        return prod(self.describe(value).shape)

    def has(self, value: int, bits: int) -> bool:
        return bool(self.flags[value] & bits)


@dataclass(frozen=True, slots=True)
class Overwritten:
    """What a write did to one tensor on memory that more than one version counter stands for.

    `op` is the write's row, or of another tensor than the one written the row that says it was
    reached. `before` and `after` are checksums, alike where every element was left as it was.
    """

    op: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Rewrites:
    """Values that took the place of another in the same tensor, one entry a write.

    `before[i]` was the tensor's value until a write gave it `value[i]`; `version[i]` is its version
    counter after the write, -1 for a tensor that does not count.
    """

    value: array[int] = field(default_factory=lambda: array("i"))
    before: array[int] = field(default_factory=lambda: array("i"))
    version: array[int] = field(default_factory=lambda: array("i"))
