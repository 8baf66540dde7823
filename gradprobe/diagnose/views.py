"""Which leaf is judged against which root: one view for each pair that counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradprobe.diagnose.refusals import refusal_of, stopped_by_program
from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.doubts import doubts_of
from gradprobe.graph.flow import Flow, flow
from gradprobe.graph.holders import missing
from gradprobe.graph.own_passes import OwnPasses
from gradprobe.graph.steps import steps_of
from gradprobe.graph.updates import Life, lives_of
from gradprobe.graph.view import View, breaks_of
from gradprobe.records.backward import Pass
from gradprobe.records.sampling import LeafMark, Where
from gradprobe.records.source import Frame
from gradprobe.records.tensor import REQUIRES_GRAD
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
    passes = [p for p in trace.passes if not stopped_by_program(p)]
    if trace.named_root is not None:
        value, name, at = trace.named_root
        passed = next((p for p in passes if value in p.roots), None)
        return [Goal((value,), name, at, passed, passed.where if passed is not None else None)]
    goals = [Goal(p.roots, p.root_name, p.at, p, p.where) for p in passes if p.roots]
    return [*goals, *_refusals(trace)]


def _refusals(trace: Trace) -> list[Goal]:
    """Ops that raised for a reason of autograd's after the last backward: the run ended there."""
    passes = trace.passes
    told = passes[-1].raised if passes else None
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
        if op.passes == len(passes) and op.inputs and op.message != told and refusal_of(op.message)
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
    lives = [lives_of(trace, leaf) for leaf in leaves]
    leaves, lives = _current(data, leaves, lives)
    goals = goals_of(trace)
    passes = OwnPasses(data)
    flows: dict[int, list[tuple[Goal, Flow]]] = {}
    for number, leaf in enumerate(leaves):
        sources = frozenset(leaf.values)
        asked = [g for g in goals if _asks_for(g, leaf) and not _came_before(g, leaf)]
        if trace.named_root is None:
            foreign = {id(passed) for passed in passes.foreign(leaf, lives[number])}
            asked = [g for g in asked if id(g.passed) not in foreign] or asked
        every = [(goal, flow(data, leaf, sources, goal.roots)) for goal in asked]
        every = _while_it_tracked(trace, every)
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
        views = [_view(data, goal, f, others, lives[number]) for goal, f in found]
        if views:
            yield views


def _asks_for(goal: Goal, leaf: LeafMark) -> bool:
    wanted = goal.passed.inputs if goal.passed is not None else ()
    return not wanted or any(value in wanted for value in leaf.values)


def _came_before(goal: Goal, leaf: LeafMark) -> bool:
    """Whether a pass had begun before the leaf was made, so that it says nothing of the leaf.

    Values are numbered in the order in which they are made.
    """
    return goal.passed is not None and max(goal.roots) < min(leaf.values) and not goal.final


def _while_it_tracked(trace: Trace, found: list[tuple[Goal, Flow]]) -> list[tuple[Goal, Flow]]:
    """Without the passes in which a leaf was frozen, if it was so for a while only.

    Two optimisers that take turns freeze what is not theirs: it is meant to get no gradient then.
    """
    tracked = [(g, f) for g, f in found if not _frozen(trace, g, f)]
    return tracked if any(f.reaches for _, f in tracked) else found


def _frozen(trace: Trace, goal: Goal, f: Flow) -> bool:
    """Whether none of the leaf's values that feed the root required grad, and others got theirs."""
    used = [v for v in f.leaf.values if v in f.between]
    if not used or any(trace.values.has(v, REQUIRES_GRAD) for v in used):
        return False
    return goal.passed is not None and goal.passed.raised is None


def _untracked(found: list[tuple[Goal, Flow]]) -> bool:
    return any(
        goal.passed is None or "does not require grad" in (goal.passed.raised or "")
        for goal, _ in found
    )


def _counts(trace: Trace, leaf: LeafMark, used: list[LeafMark]) -> bool:
    """Whether a leaf that feeds no root is worth a word: not a stray one beside others."""
    if not used or leaf.made == "named":
        return True
    if leaf.made == "loaded":
        return False
    shape = trace.values.describe(leaf.values[0]).shape
    return any(trace.values.describe(other.values[0]).shape == shape for other in used)


def _current(
    data: Dataflow, leaves: list[LeafMark], lives: list[tuple[Life, ...]]
) -> tuple[list[LeafMark], list[tuple[Life, ...]]]:
    """Without a leaf that only an optimiser still holds: one of its name has taken its place.

    And without copies that the program gives a gradient by hand, in another precision say.
    """
    stale = set()
    for leaf, own in zip(leaves, lives, strict=True):
        found = missing(data, leaf, own)
        if found is not None and found.stale is not None:
            stale.add(found.stale)
    kept = [n for n, leaf in enumerate(leaves) if stale.isdisjoint(leaf.values)]
    real = [n for n in kept if not _by_hand(lives[n])]
    kept = real or kept
    return [leaves[n] for n in kept], [lives[n] for n in kept]


def _by_hand(lives: tuple[Life, ...]) -> bool:
    return any(life.of("assigned") for life in lives) and not any(
        life.of("backward", "grad") for life in lives
    )


def _view(
    data: Dataflow, goal: Goal, f: Flow, others: tuple[LeafMark, ...], lives: tuple[Life, ...]
) -> View:
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
        lives=lives,
        doubts=doubts_of(data, f),
    )
