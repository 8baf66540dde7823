"""One call of the autograd engine, while it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gradprobe.capture.node_watch import renumbered_nodes
from gradprobe.capture.shift import Shift
from gradprobe.capture.value_stats import Number
from gradprobe.records.backward import Measured
from gradprobe.records.numerics import NodeNumbers
from gradprobe.records.report import GradStats
from gradprobe.records.sampling import Where

if TYPE_CHECKING:
    from gradprobe.capture.hook_chain import Changed
    from gradprobe.capture.stage_hooks import StagesSeen


@dataclass(slots=True)
class WatchedPass:
    """One call of the engine, while it is written."""

    how: Literal["backward", "grad"]
    at_op: int
    roots: tuple[int, ...]
    inputs: tuple[int, ...]
    place: int
    where: Where
    grad_fn: str | None
    reached: dict[int, GradStats | None] = field(default_factory=dict)
    raised: str | None = None
    nodes: int | None = None
    edges: int | None = None
    stages: StagesSeen | None = None
    retained: bool = False
    numbers: NodeNumbers | None = None
    hooks: Sequence[Changed] = ()
    foreign: bool = False
    altered: tuple[int, ...] = ()
    root_value: Number | None = None
    index: int = 0

    @property
    def measured(self) -> dict[int, Measured]:
        """The gradients of stages that nobody marked, by value."""
        return {} if self.stages is None else self.stages.measured()

    def forget(self, shift: Shift) -> None:
        """Records before this pass are forgotten: its numbers are others now."""
        self.at_op = shift.op(self.at_op)
        self.roots = shift.values(self.roots)
        self.inputs = shift.values(self.inputs)
        self.reached = renumbered(self.reached.items(), shift)
        if self.stages is not None:
            self.stages.forget(shift)
        for change in self.hooks:
            change.forget(shift)
        if self.numbers is not None:
            self.numbers = renumbered_nodes(self.numbers, shift)


def sound(seen: WatchedPass) -> bool:
    """Whether the gradient of every leaf that was reached is finite and not all zero."""
    reached = [stats for stats in seen.reached.values() if stats is not None]
    return seen.raised is None and all(not s.nonfinite and s.abs_max > 0 for s in reached)


def renumbered(
    reached: Iterable[tuple[int, GradStats | None]], shift: Shift
) -> dict[int, GradStats | None]:
    """By the values' present numbers: of leaves that now share one, that which has a gradient."""
    found: dict[int, GradStats | None] = {}
    for value, grad in reached:
        now = shift.value(value)
        if grad is not None or now not in found:
            found[now] = grad
    return found
