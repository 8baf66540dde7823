"""Which writes changed a tensor that an op had kept, unseen by its version counter.

Torch compares version counters, so it says nothing, and backward computes with what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.engine_run import run_of
from gradprobe.graph.flow import Flow, carriers
from gradprobe.graph.saves import Need, keeps_as_it_is, need
from gradprobe.records.backward import Pass
from gradprobe.records.op import UNCOUNTED, Kind

_DATA = "Tensor.data"
_VIEWS = frozenset({Kind.VIEW, Kind.SELECT, Kind.CAST, Kind.DETACH})


@dataclass(frozen=True, slots=True)
class Uncounted:
    """`write` and the `later` ones changed what `saver` had kept of the value `kept`.

    A write outside of torch is not seen: `write` is then the op by which the memory left, `unseen`.
    `need` says how the gradient depends on it. `changed` is None where nobody compared what the
    memory held; writes that are known to have left it as it was are not told of.
    """

    write: int
    later: tuple[int, ...]
    kept: int
    saver: int
    need: Need
    changed: bool | None
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    """A write that took the value `before` from a tensor, uncounted, as the row `row` says."""

    row: int
    write: int
    before: int
    rebinds: bool


Steps = dict[int, tuple[int, _Step]]  # by the value before


def uncounted(data: Dataflow, flow: Flow, passed: Pass) -> list[Uncounted]:
    """What spoiled the ops on the leaf's way that `passed` ran: surest first, then by time."""
    steps = _steps(data, passed.at_op)
    if not steps and not passed.altered:
        return []
    search = _Search(data, flow, passed)
    every = [*search.found(steps), *search.outside(passed.altered)]
    return sorted(every, key=lambda one: (-one.need, one.write, one.saver))


def left_as_it_was(data: Dataflow, write: int) -> bool:
    """Whether a write is known to have changed no element."""
    return any(w.op == write and w.before == w.after for w in data.trace.overwritten)


def through_data(data: Dataflow, write: int) -> bool:
    """Whether the memory that was written is what some `.data` gave, or a view of that."""
    inputs = data.trace.ops.inputs_of(write)
    return bool(inputs) and _source_of(data, _origins(data), inputs[0], whole=False) is not None


def _steps(data: Dataflow, until: int) -> Steps:
    """Every value that was lost to an uncounted write: what took its place, and the write."""
    trace = data.trace
    rewrites, at = trace.rewrites, trace.values.at
    nameless = any(c.kind is Kind.DETACH and c.name == _DATA for c in trace.ops.callees)
    origins = _origins(data) if nameless else {}
    steps: Steps = {}
    for value, before in zip(rewrites.value, rewrites.before, strict=True):
        op = at[value]
        if not 0 <= op < until:
            continue
        alias = trace.ops.callee_of(op).kind is Kind.ALIAS
        if trace.ops.flags_of(op) & UNCOUNTED:
            write = at[trace.ops.inputs_of(op)[1]] if alias else op
            steps[before] = value, _Step(op, write, before, rebinds=not alias)
        elif nameless and not alias:
            # What an op keeps of its result outlives the program's own tensor.
            source = _source_of(data, origins, before, whole=True)
            if source is not None and source not in steps:
                steps[source] = -1, _Step(op, op, source, rebinds=False)
    return steps


def _chain(steps: Steps, value: int) -> list[_Step]:
    """The write that took a value, and those that followed."""
    chain: list[_Step] = []
    while value in steps:
        value, step = steps[value]
        chain.append(step)
    return chain


def _origins(data: Dataflow) -> dict[int, int]:
    """Of every value that a write gave, the one that its tensor was made with."""
    found: dict[int, int] = {}
    rewrites = data.trace.rewrites
    for value, before in zip(rewrites.value, rewrites.before, strict=True):
        found[value] = found.get(before, before)
    return found


def _source_of(data: Dataflow, origins: dict[int, int], value: int, whole: bool) -> int | None:
    """x's value, of `x.data` and its views; with `whole`, of those on all of x's memory."""
    trace = data.trace
    count = trace.values.elements(value)
    while (op := trace.values.at[origins.get(value, value)]) >= 0:
        callee, inputs = trace.ops.callee_of(op), trace.ops.inputs_of(op)
        if callee.kind not in _VIEWS or not inputs:
            return None
        value = inputs[0]
        if whole and trace.values.elements(value) != count:
            return None
        if callee.kind is Kind.DETACH and callee.name == _DATA:
            return value
    return None


class _Search:
    def __init__(self, data: Dataflow, flow: Flow, passed: Pass) -> None:
        self.data = data
        self.flow = flow
        self.contents = {w.op: w for w in data.trace.overwritten}
        ran = run_of(data, passed).ops
        self.ops = [op for op in flow.ops if op in ran]
        self.ran = frozenset(self.ops)
        self.users: dict[int, list[int]] = {}
        for op in self.ops:
            for value in dict.fromkeys(data.inputs(op)):
                self.users.setdefault(value, []).append(op)

    def found(self, steps: Steps) -> list[Uncounted]:
        every: dict[tuple[int, int], Uncounted] = {}
        for value, (_, step) in steps.items():
            for kept, saver, how in self._savers(step):
                one = self._judged(_chain(steps, value), kept, saver, how)
                if one is not None:
                    every.setdefault((one.write, saver), one)
        return list(every.values())

    def outside(self, altered: tuple[int, ...]) -> Iterator[Uncounted]:
        """Ops that had kept memory before it left torch, to be changed there."""
        trace = self.data.trace
        origins = _origins(self.data) if altered else {}
        for exit in (trace.exits[number] for number in altered):
            value = exit.value
            while True:
                for kept, saver, how in self._savers(_Step(exit.op, exit.op, value, rebinds=False)):
                    yield Uncounted(exit.op, (), kept, saver, how, changed=True, unseen=True)
                op = trace.values.at[origins.get(value, value)]
                if op < 0 or trace.ops.callee_of(op).kind not in _VIEWS:
                    break
                inputs = trace.ops.inputs_of(op)
                if not inputs:
                    break
                value = inputs[0]

    def _judged(self, chain: list[_Step], kept: int, saver: int, how: Need) -> Uncounted | None:
        """The chain from the first write that changed something; None if all is as it was."""
        changed = self._changed(chain)
        if changed is False:
            return None
        guilty = [step.write for step in chain if self._changed([step]) is not False]
        return Uncounted(guilty[0], tuple(guilty[1:]), kept, saver, how, changed)

    def _changed(self, chain: list[_Step]) -> bool | None:
        """Whether the tensor holds other than it did before all of these."""
        first, last = (self.contents.get(step.row) for step in (chain[0], chain[-1]))
        if first is None or last is None:
            return None
        return first.before != last.after

    def _savers(self, step: _Step) -> Iterator[tuple[int, int, Need]]:
        """The ops that kept the value which `step` replaced and need it for the leaf's gradient."""
        made = self.data.producer[step.before]
        if made in self.ran and not step.rebinds:  # what an op keeps of its result is no variable
            how = self._need(made, None)
            if how is not Need.NONE:
                yield step.before, made, how
        for op in self.users.get(step.before, ()):
            if op >= step.write or (step.rebinds and not keeps_as_it_is(self.data.trace, op)):
                continue
            how = self._need(op, step.before)
            if how is not Need.NONE:
                yield step.before, op, how

    def _need(self, op: int, kept: int | None) -> Need:
        """How the gradient that the op hands on towards the leaf depends on what it kept.

        What a custom Function keeps is its author's affair: solvers write past the version counter
        on purpose.
        """
        if op in self.data.functions:
            return Need.NONE
        inputs = self.data.inputs(op)
        hooked = any(first <= op < end for first, end in self.data.trace.hooked)
        live = [v for v in carriers(self.data, op, inputs) if v in self.flow.connected]
        found = max(
            (need(self.data.trace, op, inputs, wanted, kept) for wanted in dict.fromkeys(live)),
            default=Need.NONE,
        )
        return min(found, Need.MAYBE) if hooked else found
