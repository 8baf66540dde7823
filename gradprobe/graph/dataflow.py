"""The dataflow graph: which value was computed from which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradprobe.records.backward import FunctionCall
from gradprobe.records.op import INSIDE_FUNCTION, Kind
from gradprobe.records.tensor import DERIVED, HOST, LEAF, MET, PARAMETER
from gradprobe.records.trace import Reentry, Trace


@dataclass(frozen=True, slots=True)
class Dataflow:
    """Ops and values of a trace, each custom Function folded into one op.

    `producer[v]` is the op that made value v, -1 if none is known. `suspected` maps a value that
    came from outside torch to the exit it probably came from.
    """

    trace: Trace
    producer: Sequence[int]
    functions: dict[int, FunctionCall]
    captured: dict[int, tuple[int, ...]]  # by Function op: what its forward read besides arguments
    suspected: dict[int, Reentry]

    def inputs(self, op: int) -> Sequence[int]:
        """Values that the results of `op` depend on."""
        call = self.functions.get(op)
        if call is None:
            return self.trace.ops.inputs_of(op)
        return (*call.explicit, *self.captured.get(op, ()))

    def outputs(self, op: int) -> Sequence[int]:
        return self.trace.ops.outputs_of(op)


def dataflow(trace: Trace) -> Dataflow:
    """Read the graph off a trace. Linear in the number of ops."""
    producer = list(trace.values.at)
    ops = trace.ops
    functions: dict[int, FunctionCall] = {}
    captured: dict[int, tuple[int, ...]] = {}
    for call in trace.functions:
        if ops.flags_of(call.op) & INSIDE_FUNCTION:
            continue  # inside another Function, which is the one op
        functions[call.op] = call
        inner = range(call.inner_from, call.op)
        made = {v for op in inner for v in ops.outputs_of(op)}
        read = {v for op in inner for v in ops.inputs_of(op)}
        captured[call.op] = tuple(sorted(read - made - set(call.explicit)))
        for value in made:  # what escapes from inside is a result of the whole
            producer[value] = call.op
    return Dataflow(trace, producer, functions, captured, _suspected(trace, producer))


def _suspected(trace: Trace, producer: list[int]) -> dict[int, Reentry]:
    """Values from outside torch that look like a value that had left: same shape, later."""
    if not trace.exits:
        return {}
    proven = {r.value for r in trace.reentries}
    used = {r.exit for r in trace.reentries if r.proven}
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, exit in enumerate(trace.exits):
        shape = trace.values.describe(exit.value).shape
        if number not in used and shape:
            by_shape.setdefault(shape, []).append(number)
    if not by_shape:
        return {}
    found: dict[int, Reentry] = {}
    first_use: dict[int, int] = {}
    for op in range(len(trace.ops)):
        for value in trace.ops.inputs_of(op):
            if trace.values.has(value, MET):
                first_use.setdefault(value, op)
    for value in range(len(trace.values)):
        flags = trace.values.flags[value]
        if value in proven or not flags & (HOST | MET) or flags & (LEAF | PARAMETER | DERIVED):
            continue
        at = producer[value]
        if at >= 0 and trace.ops.callee_of(at).kind is not Kind.HOST:
            continue
        if at >= 0 and len(trace.ops.inputs_of(at)):
            continue
        when = at if at >= 0 else first_use.get(value, -1)
        exits = by_shape.get(trace.values.describe(value).shape, ())
        earlier = [number for number in exits if trace.exits[number].op <= when]
        if earlier:
            found[value] = Reentry(earlier[-1], when, value, proven=False)
    return found


def origins(data: Dataflow, value: int) -> set[int]:
    """Everything a value was computed from, itself too."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            op = data.producer[current]
            if op >= 0:
                waiting.extend(data.inputs(op))
    return seen
