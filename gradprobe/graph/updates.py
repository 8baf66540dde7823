"""What became of a leaf's gradient: each backward, step, clearing and write, in order of time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gradprobe.graph.dataflow import Dataflow
from gradprobe.records.backward import Pass
from gradprobe.records.op import Kind
from gradprobe.records.optimizer import GradUse
from gradprobe.records.sampling import LeafMark
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace

# The number of ops before it, and its place among what happened between that op and the next.
Key = tuple[int, int]
# `backward` gave gradient to `.grad`, `grad` to the program; `written`: not by a step.
What = Literal["backward", "grad", "step", "cleared", "assigned", "read", "written"]

_LAST = 1 << 60


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to a tensor or to its gradient.

    `until` is when it was over; `closure`: a backward ran inside, from the closure of a step.
    """

    what: What
    key: Key
    until: Key
    at: Frame | None
    use: GradUse | None = None
    passed: Pass | None = None
    op: int = -1
    closure: bool = False

    def has(self, op: int) -> bool:
        """Whether an op ran while it lasted."""
        return self.key[0] <= op < self.until[0]


@dataclass(frozen=True, slots=True)
class Life:
    """One tensor that was a leaf."""

    mark: LeafMark
    moments: tuple[Moment, ...]
    values: frozenset[int]
    grads: frozenset[int]  # values of its gradient that the program took in its hands

    def of(self, *what: What) -> list[Moment]:
        return [moment for moment in self.moments if moment.what in what]


def lives_of(trace: Trace, leaf: LeafMark) -> tuple[Life, ...]:
    """The lives of the tensors that are one leaf to a reader: made at one place, of one name."""
    own = set(leaf.values)
    marks = [mark for mark in trace.leaves if mark.values and mark.values[0] in own]
    home = {value: number for number, mark in enumerate(marks) for value in mark.values}
    found: list[list[Moment]] = [[] for _ in marks]
    keys = list(keys_of(trace.passes))
    for passed, key in zip(trace.passes, keys, strict=True):
        what: What = "backward" if passed.how == "backward" else "grad"
        reached = {home[v] for v, stats in passed.reached.items() if v in home and stats}
        for number in reached:
            found[number].append(Moment(what, key, key, passed.at, passed=passed))
    for use in trace.uses:
        for number in {home[value] for value in use.values if value in home}:
            found[number].append(_moment(use, keys))
    after = _following(trace) if any(use.grad >= 0 for use in trace.uses) else {}
    lives = []
    for mark, moments in zip(marks, found, strict=True):
        grads = frozenset(_versions(moments, after))
        moments += _zeroed(trace, grads)
        moments += _written(trace, mark, [m for m in moments if m.what == "step"])
        moments.sort(key=lambda moment: moment.key)
        lives.append(Life(mark, tuple(moments), frozenset(mark.values), grads))
    return tuple(lives)


def optimizer_steps(trace: Trace) -> list[Moment]:
    """Every step of every optimiser, in order of time."""
    keys = list(keys_of(trace.passes))
    return [_moment(use, keys) for use in trace.uses if use.what == "step"]


def _moment(use: GradUse, passes: Sequence[Key]) -> Moment:
    key, until = (use.at_op, 2 * use.after - 1), (use.until_op, 2 * use.until_after - 1)
    closure = bisect_left(passes, until) > bisect_left(passes, key)
    return Moment(use.what, key, until, use.at, use, closure=closure)


def keys_of(passes: Sequence[Pass]) -> Iterator[Key]:
    """When each pass began."""
    rank, last = 0, -1
    for passed in passes:
        rank = rank + 1 if passed.at_op == last else 0
        last = passed.at_op
        yield last, 2 * rank


def _following(trace: Trace) -> dict[int, int]:
    """By value, the one that a write put in its place."""
    return dict(zip(trace.rewrites.before, trace.rewrites.value, strict=True))


def _versions(moments: Sequence[Moment], after: Mapping[int, int]) -> Iterator[int]:
    for moment in moments:
        value = moment.use.grad if moment.use is not None else -1
        while value >= 0:
            yield value
            value = after.get(value, -1)


def _zeroed(trace: Trace, grads: frozenset[int]) -> Iterator[Moment]:
    """`z0.grad.zero_()`, also by way of `.data`."""
    ops, at = trace.ops, trace.values.at
    for op in sorted({at[value] for value in grads}):
        source = op
        if op >= 0 and ops.callee_of(op).kind is Kind.ALIAS:
            source = at[ops.inputs_of(op)[1]]
        if source >= 0 and ops.callee_of(source).name.endswith("zero_"):
            key = (op, _LAST)
            yield Moment("cleared", key, key, trace.frame_of(op), op=op)


def _written(trace: Trace, mark: LeafMark, steps: Sequence[Moment]) -> Iterator[Moment]:
    begins = [step.key[0] for step in steps]
    for value in mark.values[1:]:
        op = trace.values.at[value]
        before = bisect_right(begins, op)
        if op >= 0 and not (before and steps[before - 1].has(op)):
            yield Moment("written", (op, _LAST), (op, _LAST), trace.frame_of(op), op=op)


def by_gradient(data: Dataflow, life: Life, moment: Moment) -> bool:
    """Whether a write took in the gradient of the last backward: an update by hand."""
    if moment.op < 0 or not life.grads:
        return False
    number = bisect_left(life.moments, moment.key, key=lambda one: one.key)
    while number and life.moments[number - 1].what != "backward":
        number -= 1
    first = life.moments[number - 1].key[0] if number else 0
    seen: set[int] = set()
    waiting = [moment.op]
    while waiting:
        op = waiting.pop()
        if op < first or op in seen:
            continue
        seen.add(op)
        inputs = data.inputs(op)
        if not life.grads.isdisjoint(inputs):
            return True
        waiting += [data.producer[value] for value in inputs]
    return False
