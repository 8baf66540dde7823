"""What was done with the gradients of leaves once they were there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.source import Frame

# `cleared`: `zero_grad`, `p.grad = None`, `del p.grad`; `assigned`: `p.grad = g`; `read`: `p.grad`
# in the program's own code.
Use = Literal["step", "cleared", "assigned", "read"]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """One optimiser. `at` is None if it was made before the probe began.

    `held` are values by which its tensors were first known to it, of those that are no module's;
    `count` is how many it held in all. `at_op` is how many ops had been seen when it was made.
    """

    name: str
    at: Frame | None
    at_op: int
    held: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class GradUse:
    """One step of an optimiser, one `zero_grad`, or one use of `.grad` by hand.

    `optimizer` is its number, -1 for what was done by hand. It began at op `at_op`, after `after`
    of the passes that began at that very op, and ended at `until_op`, `until_after`. `values` are
    the leaves' at its begin; of a step, `bare` are those of them that had no gradient, and `any`
    says whether any tensor of the optimiser had one. `grad` is the value of the gradient that was
    read or assigned, -1 where there is none.
    """

    what: Use
    optimizer: int
    at_op: int
    after: int
    until_op: int
    until_after: int
    at: Frame | None
    values: tuple[int, ...]
    bare: tuple[int, ...] = ()
    any: bool = False
    grad: int = -1
