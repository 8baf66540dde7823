"""Where values became low precision."""

from __future__ import annotations

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow
from gradprobe.records.tensor import PARAMETER

_MOST = 8


def narrowed(data: Dataflow, flow: Flow, dtype: str) -> list[int]:
    """Ops that made `dtype` of a wider value: of the model's parameters first, then on the way.

    In order of time within both.
    """
    trace = data.trace
    on_the_way = [op for op in flow.ops if _narrows(data, op, dtype)]
    before = on_the_way[0] if on_the_way else len(trace.ops)
    parameters = [
        op
        for op in range(before)
        if _narrows(data, op, dtype)
        and any(trace.values.has(v, PARAMETER) for v in data.inputs(op))
    ]
    return [*parameters[:1], *on_the_way[:_MOST]]


def _narrows(data: Dataflow, op: int, dtype: str) -> bool:
    values = data.trace.values
    made = [values.describe(v).dtype for v in data.outputs(op)]
    if dtype not in made:
        return False
    taken = [values.describe(v) for v in data.inputs(op)]
    floating = [meta.dtype for meta in taken if meta.differentiable]
    return bool(floating) and dtype not in floating
