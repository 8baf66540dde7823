"""Which values' gradients are worth measuring when a backward begins: those of the stages."""

from __future__ import annotations

from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.flow import flow
from gradprobe.graph.landmarks import landmarks_of
from gradprobe.graph.steps import steps_of
from gradprobe.records.trace import Trace

_MOST_LEAVES = 3
_TRIED = 12


def stage_values(trace: Trace) -> frozenset[int]:
    """The stages between the newest leaves and the roots of the trace's last pass.

    The trace is as it stood when the pass began; its places need no frames.
    """
    data = dataflow(trace)
    roots = trace.passes[-1].roots
    found: set[int] = set()
    used = 0
    for leaf in trace.leaves[: -_TRIED - 1 : -1]:
        way = flow(data, leaf, frozenset(leaf.values), roots, of_values=True)
        if not way.used:
            continue
        steps = steps_of(data, way, trace.passes[-1].where)
        found |= {mark.value for mark in landmarks_of(steps)}
        # Which of these is final, the source says: it is read later.
        found.update(steps.states.ends if steps.states is not None else ())
        found.difference_update(leaf.values)
        used += 1
        if used == _MOST_LEAVES:
            break
    return frozenset(found)
