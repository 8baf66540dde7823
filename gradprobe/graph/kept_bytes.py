"""How much the ops of a run keep for their backward, as far as their derivatives are known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import has_history
from gradprobe.graph.saves import keeps_input, keeps_result
from gradprobe.records.op import Kind
from gradprobe.records.tensor import LEAF, PARAMETER, REQUIRES_GRAD
from gradprobe.records.trace import Trace

_BITS = re.compile(r"\d+")


def kept_bytes(data: Dataflow, ops: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each of `ops` that is known to keep tensors, with the bytes that no op before it had kept.

    Memory that is there anyway, parameters and leaves, is not counted, nor is what an op makes for
    itself (a mask, a mean): so it is a floor. A view keeps what it is a view of.
    """
    trace, keeps = data.trace, _Keeps(data.trace)
    counted: set[int] = set()
    for op in ops:
        outputs = data.outputs(op)
        if op in data.functions or not any(has_history(data, value) for value in outputs):
            continue
        inputs = trace.ops.inputs_of(op)
        places, result = keeps.of(op, inputs)
        kept = [inputs[place] for place in places]
        if result:
            kept += outputs
        if kept:
            fresh = {_memory(data, value) for value in kept} - counted
            counted |= fresh
            there = PARAMETER | LEAF
            yield op, sum(_size(trace, v) for v in fresh if not trace.values.has(v, there))


class _Keeps:
    """What ops keep; those of one function over alike inputs keep the same, and are many."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._known: dict[tuple[int, bytes], tuple[tuple[int, ...], bool]] = {}

    def of(self, op: int, inputs: Sequence[int]) -> tuple[tuple[int, ...], bool]:
        """The places of the inputs that `op` keeps, and whether it keeps its result."""
        flags = self._trace.values.flags
        wanted = bytes(flags[value] & REQUIRES_GRAD for value in inputs)
        key = self._trace.ops.head[op] & 0xFFFF, wanted
        if key not in self._known or len(set(inputs)) < len(inputs):
            places = range(len(inputs))
            kept = (n for n in places if keeps_input(self._trace, op, inputs, inputs[n]))
            found = tuple(kept), bool(keeps_result(self._trace, op))
            if len(set(inputs)) < len(inputs):  # of a tensor that is given twice, either counts
                return found
            self._known[key] = found
        return self._known[key]


def _memory(data: Dataflow, value: int) -> int:
    """The value whose memory a view shows."""
    ops = data.trace.ops
    while True:
        op = data.producer[value]
        if op < 0 or op in data.functions or ops.callee_of(op).kind is not Kind.VIEW:
            return value
        inputs = ops.inputs_of(op)
        if not inputs or inputs[0] >= value:
            return value
        value = inputs[0]


def _size(trace: Trace, value: int) -> int:
    return trace.values.elements(value) * _width(trace.values.describe(value).dtype)


@cache
def _width(dtype: str) -> int:
    """Bytes of an element: `float32` says it."""
    bits = _BITS.search(dtype)
    return max(int(bits[0]) // 8, 1) if bits else 1
