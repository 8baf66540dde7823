"""Which leaf is judged against which root: one view for each pair that counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow, flow
from gradprobe.graph.steps import steps_of
from gradprobe.graph.view import View, breaks_of
from gradprobe.records.backward import Pass
from gradprobe.records.sampling import LeafMark, Where
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace


@dataclass(frozen=True, slots=True)
class Goal:
    """A root to judge: a pass, the value the user named, or what an op refused to take."""

    roots: tuple[int, ...]
    name: str
    at: Frame | None
    passed: Pass | None
    where: Where | None
    refused: str | None = None
    final: bool = False  # nothing ran after it, so that it counts for leaves that it does not use


def goals_of(trace: Trace) -> list[Goal]:
    """The named root alone if there is one, else every pass whose records are there, in order."""
    if trace.named_root is not None:
        value, name, at = trace.named_root
        passed = next((p for p in trace.passes if value in p.roots), None)
        return [Goal((value,), name, at, passed, passed.where if passed is not None else None)]
    goals = [Goal(p.roots, p.root_name, p.at, p, p.where) for p in trace.passes if p.roots]
    return [*goals, *_refusals(trace)]


# What torch says when an op in the forward cannot go on for a reason of autograd's.
_REFUSES = (
    "requires grad",
    "Inference tensors cannot be saved",
    "Inplace update to inference tensor",
    "a view of a leaf",
)


def _refusals(trace: Trace) -> list[Goal]:
    """Ops that raised for a reason of autograd's after the last backward: the run ended there."""
    last = max((p.at_op for p in trace.passes), default=-1)
    return [
        Goal(
            op.inputs,
            op.callee,
            trace.frames[op.site],
            None,
            op.where,
            refused=op.message,
            final=op.at_op >= len(trace.ops),
        )
        for op in trace.raised
        if op.at_op > last and op.inputs and any(said in op.message for said in _REFUSES)
    ][-1:]


def leaf_groups(trace: Trace) -> list[LeafMark]:
    """One leaf a place and name: those made anew in every turn of a loop are one."""
    groups: dict[tuple[object, ...], LeafMark] = {}
    for mark in trace.leaves:
        key = (mark.name, mark.at.place if mark.at else None)
        known = groups.get(key)
        if known is None:
            groups[key] = mark
        else:
            values = dict.fromkeys((*known.values, *mark.values))
            groups[key] = replace(known, values=tuple(values))
    return list(groups.values())


def views_of(data: Dataflow) -> Iterator[list[View]]:
    """For each leaf the views on it, one a goal that its values reach; the last goal if none."""
    trace = data.trace
    leaves = leaf_groups(trace)
    goals = goals_of(trace)
    flows: dict[int, list[tuple[Goal, Flow]]] = {}
    for number, leaf in enumerate(leaves):
        sources = frozenset(leaf.values)
        asked = [g for g in goals if _asks_for(g, leaf)]
        every = [(goal, flow(data, leaf, sources, goal.roots)) for goal in asked]
        flows[number] = [(g, f) for g, f in every if f.used or g.final] or every[-1:]
    used = [n for n, found in flows.items() if any(f.used for _, f in found)]
    inferred = all(leaf.made == "inferred" for leaf in leaves)
    for number, leaf in enumerate(leaves):
        found = flows[number]
        if inferred:
            # Guesses: only the first that feeds a root which itself requires no grad.
            if number not in used[:1] or not _untracked(found):
                continue
        elif number not in used and not _counts(trace, leaf, [leaves[n] for n in used]):
            continue
        others = tuple(leaves[n] for n in used if n != number)
        views = [_view(data, goal, f, others) for goal, f in found]
        if views:
            yield views


def _asks_for(goal: Goal, leaf: LeafMark) -> bool:
    wanted = goal.passed.inputs if goal.passed is not None else ()
    return not wanted or any(value in wanted for value in leaf.values)


def _untracked(found: list[tuple[Goal, Flow]]) -> bool:
    return any(
        goal.passed is None or "does not require grad" in (goal.passed.raised or "")
        for goal, _ in found
    )


def _counts(trace: Trace, leaf: LeafMark, used: list[LeafMark]) -> bool:
    """Whether a leaf that feeds no root is worth a word: not a stray one beside others."""
    if not used or leaf.made == "named":
        return True
    shape = trace.values.describe(leaf.values[0]).shape
    return any(trace.values.describe(other.values[0]).shape == shape for other in used)


def _view(data: Dataflow, goal: Goal, f: Flow, others: tuple[LeafMark, ...]) -> View:
    reached = goal.passed.reached if goal.passed is not None else {}
    measured = [reached[v] for v in f.leaf.values if v in reached]
    stopped = goal.passed is not None and goal.passed.raised is not None
    # Hooks on the leaf are the proof, where backward got so far.
    proven = measured and not stopped
    total = all(stats is None for stats in measured) if proven else not f.reaches
    return View(
        data=data,
        flow=f,
        steps=steps_of(data, f, goal.where),
        refused=goal.refused,
        passed=goal.passed,
        root_name=goal.name,
        root_at=goal.at,
        total=total,
        breaks=breaks_of(data, f, goal.at),
        others=others,
    )
