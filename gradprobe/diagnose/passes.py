"""The backward passes of a run, one by one, and in which of them something began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradprobe.graph.view import View
from gradprobe.records.backward import Pass, PastPass
from gradprobe.records.report import BackwardPass, GradStats
from gradprobe.records.sampling import LeafMark
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace


def passes_of(trace: Trace, leaves: Sequence[LeafMark]) -> tuple[BackwardPass, ...]:
    """Every pass in order, whether its records are kept or not."""
    kept = [
        BackwardPass(p.index, p.how, p.at, _reached(p.reached, leaves), True, p.raised)
        for p in trace.passes
    ]
    past = [
        BackwardPass(p.index, p.how, p.at, _reached(p.reached, leaves), False, p.raised)
        for p in trace.past
    ]
    return tuple(sorted((*kept, *past), key=lambda row: row.index))


def _reached(
    reached: Mapping[int, GradStats | None], leaves: Sequence[LeafMark]
) -> dict[str, GradStats | None]:
    """By name the gradient of the leaf's latest value that has one.

    Some of its tensors may be past, and so may be leaves of its name that another line had made.
    """
    found: dict[str, GradStats | None] = {}
    for leaf in leaves:
        every = [reached[v] for v in reversed(leaf.values) if v in reached]
        grad = next((grad for grad in every if grad is not None), None)
        if every and (grad is not None or leaf.name not in found):
            found[leaf.name] = grad
    return found


def iteration_of(trace: Trace, passed: Pass) -> tuple[int, int]:
    """Which one a pass is of those called at its line, counted from 1, and how many these are."""
    every: list[Pass | PastPass] = [*trace.passes, *trace.past]
    same = sorted(p.index for p in every if _line(p.at) == _line(passed.at))
    return same.index(passed.index) + 1, len(same)


def alike(view: View, other: View) -> bool:
    """Whether the passes of two views were called at the same line."""
    if view.passed is None or other.passed is None:
        return False
    return _line(view.passed.at) == _line(other.passed.at)


def _line(at: Frame | None) -> tuple[str, int] | None:
    return None if at is None else (at.file, at.line)
