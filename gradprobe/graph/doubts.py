"""Where values on the way to a root come from code that was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow
from gradprobe.records.op import NO_CALL, Kind
from gradprobe.records.source import Frame

# `stranger`: a tensor that no op was seen to make. `unfilled`: memory that was read and that no op
# was seen to write. `inside`: a call from whose arguments to whose results little is known.
Why = Literal["stranger", "unfilled", "inside"]

_EMPTY = frozenset(
    ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided")
)
_HANDS_ON = (Kind.VIEW, Kind.CAST, Kind.PARAMETER)
_FILLS = (Kind.WRITE, Kind.OVERWRITE, Kind.ALIAS, Kind.FUNCTION, Kind.UNSEEN)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One value of which nobody can say what it was made from.

    `at` is where it was first used; of memory where it was made, of a call the call. `name` is that
    of the variable or of what was called, where it is known: not where no call was seen.
    """

    why: Why
    value: int
    at: Frame | None
    name: str | None


def doubts_of(data: Dataflow, flow: Flow) -> tuple[Doubt, ...]:
    """Those that feed the roots of a flow, and that came after its leaf; each place once."""
    found: dict[tuple[Why, str | None], Doubt] = {}
    for doubt in (*_strangers(data, flow), *_unfilled(data, flow), *_inside(data, flow)):
        place = doubt.at.place if doubt.at is not None else None
        found.setdefault((doubt.why, place), doubt)
    return tuple(found.values())


def _strangers(data: Dataflow, flow: Flow) -> Iterator[Doubt]:
    trace, first = data.trace, min(flow.leaf.values)
    for value, site in trace.strangers.items():
        if value < first or value not in flow.feeding or value in flow.between:
            continue
        if trace.values.describe(value).differentiable:
            yield Doubt("stranger", value, trace.frames[site], trace.names.get(value))


def _unfilled(data: Dataflow, flow: Flow) -> Iterator[Doubt]:
    """Memory that `torch.empty` gave, read by an op, and before that written by none."""
    trace = data.trace
    numbers = {
        n
        for n, callee in enumerate(trace.ops.callees)
        if callee.kind is Kind.SHAPE_ONLY and callee.name.rpartition(".")[2] in _EMPTY
    }
    if not numbers:
        return
    before = dict(zip(trace.rewrites.value, trace.rewrites.before, strict=True))
    first = min(flow.leaf.values)
    bare: dict[int, int] = {}  # by value, the op that gave the memory
    ops = sorted({data.producer[value] for value in flow.feeding} - {-1})
    for op in ops:
        outputs = [v for v in data.outputs(op) if v in flow.feeding]
        if trace.ops.head[op] & 0xFFFF in numbers:
            for value in outputs:
                meta = trace.values.describe(value)
                if value > first and meta.differentiable and trace.values.elements(value):
                    bare[value] = op
            continue
        read = [v for v in data.inputs(op) if v in bare]
        kind = trace.ops.callee_of(op).kind
        # `out=` writes a tensor that is among the inputs.
        if not read or kind in _FILLS or any(before.get(v) in bare for v in outputs):
            continue
        if kind in _HANDS_ON:
            bare.update(dict.fromkeys(outputs, bare[read[0]]))
            continue
        for value in read:
            yield _memory(data, bare[value], value)
    for root in flow.roots:
        if root in bare:
            yield _memory(data, bare[root], root)


def _memory(data: Dataflow, op: int, value: int) -> Doubt:
    return Doubt("unfilled", value, data.trace.frame_of(op), data.trace.ops.callee_of(op).name)


def _inside(data: Dataflow, flow: Flow) -> Iterator[Doubt]:
    """Calls on the way whose inside is not known."""
    ops = data.trace.ops
    for op in flow.ops:
        callee = ops.callee_of(op)
        if callee.kind is Kind.UNSEEN:
            # Where no call was seen, a history led back from the result.
            name = None if callee.name == NO_CALL else callee.name
            yield Doubt("inside", data.outputs(op)[0], data.trace.frame_of(op), name)
