"""Which optimiser should have held a leaf that gradient reached, and holds something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow, origins
from gradprobe.graph.updates import Life, Moment, by_gradient, optimizer_steps
from gradprobe.records.op import Kind
from gradprobe.records.optimizer import Optimizer
from gradprobe.records.sampling import LeafMark
from gradprobe.records.source import Frame

_OFTEN = 2  # backward passes and steps that the same tensor saw, for it not to be mere data
_COPIES = frozenset({Kind.VIEW, Kind.DETACH, Kind.CAST, Kind.COPY, Kind.PARAMETER})


@dataclass(frozen=True, slots=True)
class Missing:
    """`optimizer` steps without the leaf.

    `stale` is the value of a tensor that it holds in the leaf's place, None if there is none;
    `idle`: no tensor that it holds ever had a gradient. Where it is neither, the leaf may be meant
    to stay as it is.
    """

    optimizer: Optimizer
    step: Frame | None
    stale: int | None
    idle: bool


def missing(data: Dataflow, leaf: LeafMark, lives: Sequence[Life]) -> Missing | None:
    """What there is to say of a leaf whose gradient neither an optimiser nor the program uses."""
    trace = data.trace
    first = min((m.key for life in lives for m in life.of("backward")), default=None)
    if first is None or not leaf.requires_grad or _held(data, leaf) or _used(data, lives):
        return None
    every = optimizer_steps(trace)
    late = [step for step in every if step.until > first]
    numbers = dict.fromkeys(step.use.optimizer for step in late if step.use is not None)
    found = []
    for number in numbers:
        own = [step for step in every if step.use is not None and step.use.optimizer == number]
        optimizer = trace.optimizers[number]
        idle = not any(s.use.any or s.closure for s in own if s.use is not None)
        stale = _stale(data, leaf, optimizer, own)
        found.append(Missing(optimizer, own[0].at, stale, idle))
    sure = next((one for one in found if one.stale is not None), None)
    if sure is not None:
        return sure
    if found and all(one.idle for one in found):
        return None if _judged_itself(data, leaf, found[0].optimizer) else found[0]
    kept = any(len(life.of("backward")) >= _OFTEN for life in lives)
    if kept and len(late) >= _OFTEN and not any(one.optimizer.held for one in found):
        return found[0]
    return None


def _held(data: Dataflow, leaf: LeafMark) -> bool:
    own = set(leaf.values)
    return any(not own.isdisjoint(o.held) for o in data.trace.optimizers) or any(
        use.what == "step" and not own.isdisjoint(use.values) for use in data.trace.uses
    )


def _used(data: Dataflow, lives: Sequence[Life]) -> bool:
    """Whether the program takes the gradient in its own hands."""
    return any(
        life.of("read", "assigned", "grad")
        or any(by_gradient(data, life, moment) for moment in life.of("written"))
        for life in lives
    )


def _stale(
    data: Dataflow, leaf: LeafMark, optimizer: Optimizer, steps: Sequence[Moment]
) -> int | None:
    """A tensor without gradient that the leaf was made from, or that had its name before it.

    Or one that was copied from the leaf.
    """
    trace = data.trace
    behind = origins(data, leaf.values[0])
    for value in optimizer.held:
        seen = [s.use for s in steps if s.use is not None and value in s.use.values]
        if not seen or any(value not in use.bare for use in seen):
            continue
        if is_copy(data, leaf, value):
            return value
        if trace.values.at[leaf.values[0]] < max(optimizer.at_op, 0):
            continue
        names = {mark.name for mark in trace.leaves if value in mark.values}
        if leaf.name in names or (not names and value in behind):
            return value
    return None


def is_copy(data: Dataflow, leaf: LeafMark, value: int) -> bool:
    """Whether a tensor is a copy of the leaf's values, as `z0.detach().clone()` is."""
    own = set(leaf.values)
    shapes = [data.trace.values.describe(v).shape for v in (value, leaf.values[0])]
    return value not in own and shapes[0] == shapes[1] and not own.isdisjoint(_made_of(data, value))


def _made_of(data: Dataflow, value: int) -> set[int]:
    """What a value was copied from, step by step, the last first; itself included."""
    found = {value}
    op = data.producer[value]
    while op >= 0 and _copies(data, op):
        value = data.inputs(op)[0]
        found.add(value)
        op = data.producer[value]
    return found


def _copies(data: Dataflow, op: int) -> bool:
    callee = data.trace.ops.callee_of(op)
    return bool(data.inputs(op)) and (callee.kind in _COPIES or callee.name == "Tensor.clone")


def _judged_itself(data: Dataflow, leaf: LeafMark, optimizer: Optimizer) -> bool:
    """Whether a leaf of another name is what the optimiser holds: it has findings of its own."""
    shape = data.trace.values.describe(leaf.values[0]).shape
    return any(
        mark.name != leaf.name
        and mark.requires_grad
        and not set(mark.values).isdisjoint(optimizer.held)
        and data.trace.values.describe(mark.values[0]).shape == shape
        for mark in data.trace.leaves
    )
