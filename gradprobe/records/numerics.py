"""Numbers of single nodes: how large a gradient came to each, and how large it went on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gradprobe.records.source import Frame

Numerics = Literal["stages", "nodes"]
NUMERICS: Final[tuple[Numerics, ...]] = ("stages", "nodes")

NOWHERE: Final = -1  # a target that is no node and no leaf: nothing asks for this gradient


def leaf_target(value: int) -> int:
    """How an edge to a leaf is written among the targets of a node; its own inverse."""
    return -2 - value


@dataclass(frozen=True, slots=True)
class Saved:
    """What a node had saved in the forward: a number, or the range of a tensor.

    `at` is the tensor's element at the place that a `Witness` is about.
    """

    name: str  # as in the derivative's formula: self, other, result, weight, min ...
    low: float
    high: float
    shape: tuple[int, ...] | None = None  # None: a plain number
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A node that made a gradient zero or not finite, looked at while its pass ran.

    `edge` is the gradient that it is about, `element` the first one in it that is not finite, with
    what came in there (`came`) and what went on (`went`); None for a gradient that is all zero.
    """

    edge: int
    saved: tuple[Saved, ...]
    element: tuple[int, ...] | None = None
    came: float | None = None
    went: float | None = None


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One node of the autograd graph in one pass.

    `op` is the op that made it, -1 if none was seen to. `targets[i]` is where its i-th gradient
    goes: the number of a node in the same pass, a leaf (`leaf_target`) or `NOWHERE`. `came` is the
    largest magnitude of what came in, `went[i]` of what went on; NaN if there is a NaN, None where
    there was no gradient. `order` counts the nodes as they ran, -1 for one that did not.
    """

    name: str
    op: int
    targets: tuple[int, ...]
    order: int = -1
    came: float | None = None
    went: tuple[float | None, ...] = ()
    dtypes: tuple[str | None, ...] = ()  # of what went on
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """The smallest and the largest element of a value, NaN if one is a NaN."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NodeNumbers:
    """All nodes of one pass. `complete` is False where the graph was larger than is measured."""

    nodes: tuple[NodeRun, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ZeroFactor:
    """A number that is exactly zero where an op takes it: the variable that holds it.

    `because` is another variable that is zero, from which it was computed; `at` is the assignment
    of the last of them.
    """

    name: str
    because: str | None
    at: Frame | None


@dataclass(frozen=True, slots=True)
class ForwardNumbers:
    """What was seen of numbers in the forward: ranges of values, and by op its zero factor."""

    extents: Mapping[int, Extent] = field(default_factory=dict)
    factors: Mapping[int, ZeroFactor] = field(default_factory=dict)
