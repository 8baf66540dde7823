"""Whether what left torch may have come back by a way that was not seen."""

from __future__ import annotations

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import feeding_of
from gradprobe.records.op import Kind
from gradprobe.records.tensor import HOST
from gradprobe.records.trace import Trace


def may_have_returned(data: Dataflow) -> bool:
    """Whether, after values left of which nothing more is known, a root was fed from outside.

    By a number that was computed outside torch, or a tensor that was made of data there.
    """
    trace = data.trace
    left = first_open_exit(trace)
    if left is None:
        return False
    roots = [value for passed in trace.passes for value in passed.roots]
    if trace.named_root is not None:
        roots.append(trace.named_root[0])
    feeding, ops = feeding_of(data, frozenset(), roots)
    if any(op > left and op in ops for op in trace.odd):
        return True
    return any(_is_unknown(data, value) and data.producer[value] > left for value in feeding)


def first_open_exit(trace: Trace) -> int | None:
    """The first op by which numbers left that were not seen to come back."""
    answered = {returned.exit for returned in trace.reentries}
    found = (
        exit.op
        for number, exit in enumerate(trace.exits)
        if number not in answered and trace.values.describe(exit.value).differentiable
    )
    return next(found, None)


def _is_unknown(data: Dataflow, value: int) -> bool:
    """Whether a value holds data from outside of which nothing is known."""
    values, op = data.trace.values, data.producer[value]
    return (
        values.has(value, HOST)
        and values.describe(value).differentiable
        and op >= 0
        and data.trace.ops.callee_of(op).kind is Kind.HOST
        and not len(data.trace.ops.inputs_of(op))
    )
