"""What is lost inside a reentrant checkpoint, which backward computes again with recording on.

Its forward runs with recording off, so that no value in it tells whether gradient will come by.
What each op does with gradient does: a detach stays one when it is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Cut, Flow
from gradprobe.records.backward import FunctionCall
from gradprobe.records.op import GRAD_OFF, Kind

_STOPS = (Kind.DETACH, Kind.COPY, Kind.HOST, Kind.EXIT, Kind.PARAMETER)


def inner_cuts(data: Dataflow, flow: Flow) -> Iterator[tuple[Cut, bool]]:
    """Cuts between a checkpoint's arguments and results, and whether recording was off at each."""
    for op in flow.ops:
        call = data.functions.get(op)
        if call is not None and call.reentrant_checkpoint:
            yield from _cuts_of(data, flow, op, call)


def _cuts_of(data: Dataflow, flow: Flow, op: int, call: FunctionCall) -> Iterator[tuple[Cut, bool]]:
    ops, values = data.trace.ops, data.trace.values
    calls = [c for c in data.trace.functions if call.inner_from <= c.op < op]
    nested = {c.op: c for c in calls}
    within = {i for c in calls for i in range(c.inner_from, c.op)}
    own = [i for i in range(call.inner_from, op) if i not in within]
    feeding = _feeding(data, own, nested, ops.inputs_of(op)[len(call.explicit) :])
    between = {v for v in call.explicit if v in flow.between}
    alive = {v for v in between if v in flow.connected and v not in call.none_for}
    baseline = _baseline(data, op)
    for i in own:
        taken = _taken(data, nested, i)
        if not any(v in between for v in taken):
            continue
        off = bool(ops.flags_of(i) & GRAD_OFF) and ops.region_of(i) not in baseline
        source = next((v for v in taken if v in alive), None)
        for value in ops.outputs_of(i):
            between.add(value)
            if source is None:
                continue
            lost = off or ops.callee_of(i).kind in _STOPS
            if lost and _straight_through(data, own, source, value, alive):
                lost = False
            if lost or not values.describe(value).differentiable:
                if value in feeding:
                    yield Cut(i, source, value), off
            else:
                alive.add(value)


def _straight_through(
    data: Dataflow, own: Sequence[int], source: int, result: int, alive: set[int]
) -> bool:
    """`x + (q - x).detach()`, whose gradient goes by x: what is detached is a difference from x."""
    ops = data.trace.ops
    made_by = data.trace.values.at[source]
    if made_by < 0 or not ops.callee_of(made_by).name.endswith(("sub", "sub_")):
        return False
    subtracted = ops.inputs_of(made_by)[-1:]
    users = (op for op in own if result in ops.inputs_of(op))
    return any(
        ops.callee_of(op).name.endswith(("add", "add_"))
        and any(v in subtracted and v in alive for v in ops.inputs_of(op))
        for op in users
    )


def _taken(data: Dataflow, nested: dict[int, FunctionCall], op: int) -> Sequence[int]:
    return nested[op].explicit if op in nested else data.trace.ops.inputs_of(op)


def _feeding(
    data: Dataflow, own: Sequence[int], nested: dict[int, FunctionCall], results: Sequence[int]
) -> set[int]:
    """What the results are made of, inside the checkpoint."""
    feeding = set(results)
    for op in reversed(own):
        if any(value in feeding for value in data.trace.ops.outputs_of(op)):
            feeding.update(_taken(data, nested, op))
    return feeding


def _baseline(data: Dataflow, op: int) -> set[int]:
    """The regions that the checkpoint itself opened, and the one that it was called in."""
    trace = data.trace
    at = trace.frame_of(op)
    found = {0, trace.ops.region_of(op)}
    for number, region in enumerate(trace.regions):
        if at is not None and region.opened_by is not None and region.opened_by.place == at.place:
            found.add(number)
    return found
