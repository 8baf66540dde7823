"""An autograd graph node by node, as it is to be drawn: every name is the `id()` of an object.

Plain rows in the order of drawing. A name may come twice, as a leaf and as a saved tensor: the last
one counts, as it does in DOT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DrawnKind = Literal["node", "leaf", "saved", "output", "base"]
DrawnLink = Literal["gradient", "saved", "view"]


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of the autograd graph, or a tensor at one.

    kind: `node`, an op's or an AccumulateGrad; `leaf`, a tensor whose gradient is accumulated;
    `saved`, a saved tensor; `output`, a tensor the drawing was asked for; `base`, the tensor that
    such an output is a view of. `size` is None of a node, `attributes` is empty of a tensor.
    """

    name: str
    kind: DrawnKind
    title: str
    size: tuple[int, ...] | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An arrow the way values go, from what was made first.

    kind: `gradient`, what backward follows the other way; `saved`, between a node and what it
    saved, without a direction; `view`, from a base to its view.
    """

    tail: str
    head: str
    kind: DrawnLink = "gradient"


Drawing = list[DrawnNode | DrawnEdge]
