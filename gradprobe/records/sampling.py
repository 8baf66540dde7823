"""Points of the sampler: leaves, stages, module calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import GradStats, Source, ValueStats
from gradprobe.records.source import Frame

Made = Literal[
    "requires_grad", "requires_grad_", "setter", "loaded", "parameter", "met", "named", "inferred"
]


@dataclass(frozen=True, slots=True)
class LeafMark:
    """A tensor that the program made to require grad, or that the user named as one.

    `values` are its values in order, one more after each write to it and after each switch of
    `requires_grad`. `made` says how it became a leaf; `met` is a tensor that already required grad
    when an op first used it, `loaded` one that torch restored from a file. `frozen_at` is where
    `requires_grad_(False)` was called on it last.
    """

    name: str
    function: str
    values: tuple[int, ...]
    at: Frame | None
    made: Made
    requires_grad: bool
    is_parameter: bool
    in_module: bool
    frozen_at: Frame | None
    statement: Frame | None  # the whole assignment that named it


@dataclass(frozen=True, slots=True)
class StageMark:
    """One `tap`, or one tensor that was assigned to a variable which a selector names."""

    name: str
    step: int | None
    sigma: float | None
    value: int
    at_op: int
    at: Frame | None
    grad_fn: str | None
    grad: GradStats | None
    source: Source = "declared"
    stats: ValueStats | None = None
    device: str | None = None
    is_leaf: bool | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """An adapter saw a step begin: ops from `at_op` on belong to it, up to the next tick."""

    at_op: int
    step: int
    sigma: float | None


@dataclass(frozen=True, slots=True)
class Where:
    """A call stack, outermost first: (activation, code, position) of each frame of user code.

    An activation number is the same for the same running frame only while that frame runs.
    """

    frames: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of an nn.Module, with the ops it spans: `[from_op, to_op)`."""

    module: int
    name: str
    depth: int
    from_op: int
    to_op: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    where: Where
    at: Frame | None
    grad_fn: str | None = None
    grad: GradStats | None = None
    sigma: float | None = None  # the first number among its arguments: noise level or timestep
    stats: ValueStats | None = None  # of its first output
    device: str | None = None
