"""Which values' gradients are worth measuring when a backward begins: those of the stages."""

from __future__ import annotations

from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.flow import flow
from gradprobe.graph.landmarks import landmarks_of
from gradprobe.graph.steps import steps_of
from gradprobe.records.norms import StageKey
from gradprobe.records.trace import Trace

_MOST_LEAVES = 3
_TRIED = 12


def stage_values(trace: Trace) -> dict[int, StageKey | None]:
    """The stages between the newest leaves and the roots of the trace's last pass.

    The trace is as it stood when the pass began; its places need no frames. A state that may be the
    final one has no name yet.
    """
    data = dataflow(trace)
    roots = trace.passes[-1].roots
    found: dict[int, StageKey | None] = {}
    used = 0
    for leaf in trace.leaves[: -_TRIED - 1 : -1]:
        way = flow(data, leaf, frozenset(leaf.values), roots, of_values=True)
        if not way.used:
            continue
        steps = steps_of(data, way, trace.passes[-1].where)
        for mark in landmarks_of(steps):
            found.setdefault(mark.value, StageKey(mark.name, mark.step, mark.call))
        # Which of these is final, the source says: it is read later.
        for value in steps.states.ends if steps.states is not None else ():
            found.setdefault(value, None)
        for value in leaf.values:
            found.pop(value, None)
        used += 1
        if used == _MOST_LEAVES:
            break
    return found
