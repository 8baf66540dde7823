"""What one call of the autograd engine goes through, as far as the dataflow shows it."""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import carriers, has_history
from gradprobe.graph.saves import saves
from gradprobe.records.backward import Pass


@dataclass(frozen=True, slots=True)
class EngineRun:
    """The values whose history a pass goes through, and the ops that are that history."""

    values: frozenset[int]
    ops: frozenset[int]

    def goes_through(self, data: Dataflow, value: int) -> bool:
        """Whether the node that made a value is one that this pass ran.

        An op of several results is one node: the pass may have come by way of another result.
        """
        return value in self.values or data.producer[value] in self.ops


@dataclass(frozen=True, slots=True)
class Shared:
    """A value by which a later pass enters what an earlier one ran.

    `user` is an op that took the value on the later pass's way, None where it is a root itself.
    `saves` says whether a node at or behind it is of a kind that saves tensors.
    """

    value: int
    user: int | None
    saves: bool


def run_of(data: Dataflow, passed: Pass) -> EngineRun:
    """Back from the roots along what carries gradient; to `inputs` alone where they were named."""
    values: set[int] = set()
    ops: set[int] = set()
    waiting = list(passed.roots)
    while waiting:
        value = waiting.pop()
        if value in values or not has_history(data, value):
            continue
        values.add(value)
        op = data.producer[value]
        if op >= 0 and op not in ops:
            ops.add(op)
            waiting.extend(carriers(data, op, data.inputs(op)))
    if passed.inputs:
        return _towards(data, frozenset(passed.inputs), values, ops)
    return EngineRun(frozenset(values), frozenset(ops))


def _towards(data: Dataflow, inputs: frozenset[int], values: set[int], ops: set[int]) -> EngineRun:
    """Those of a run's nodes from which a way leads to one of `inputs`: no others are run."""
    leading = set(inputs)
    run: set[int] = set()
    for op in sorted(ops):
        if any(v in leading for v in carriers(data, op, data.inputs(op))):
            run.add(op)
            leading.update(v for v in data.outputs(op) if v in values)
    made = frozenset(v for v in leading & values if data.producer[v] in run)
    return EngineRun(made, frozenset(run))


def shared(
    data: Dataflow, earlier: EngineRun, later: EngineRun, roots: tuple[int, ...]
) -> list[Shared]:
    """Where the later run enters the earlier one's; first those behind which tensors are saved."""
    found: dict[int, Shared] = {}
    seen: set[int] = set()
    waiting: list[tuple[int, int | None]] = [(root, None) for root in roots]
    while waiting:
        value, user = waiting.pop()
        if value in seen or not later.goes_through(data, value):
            continue
        seen.add(value)
        if earlier.goes_through(data, value):
            found[value] = Shared(value, user, _saves(data, value, earlier, later))
            continue
        op = data.producer[value]
        if op >= 0:
            waiting.extend((v, op) for v in carriers(data, op, data.inputs(op)))
    return sorted(found.values(), key=lambda one: (not one.saves, one.value))


def _saves(data: Dataflow, value: int, earlier: EngineRun, later: EngineRun) -> bool:
    """Whether tensors were saved at or behind a value, where both passes go."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if value in seen or not has_history(data, value):
            continue
        seen.add(value)
        if not (earlier.goes_through(data, value) and later.goes_through(data, value)):
            continue
        op = data.producer[value]
        if op < 0 or saves(data.trace, op):
            return True
        waiting.extend(carriers(data, op, data.inputs(op)))
    return False
