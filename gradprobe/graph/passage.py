"""What gradient does in each call of the denoiser: does it enter, and does it leave to the leaf?

A gradient that reaches the leaf proves neither. A sampler's skip path, or a regulariser on the leaf
itself, carries one around calls that are dead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow, carriers, feeding_of, has_history
from gradprobe.records.backward import FunctionCall
from gradprobe.records.op import INSIDE_FUNCTION, Kind
from gradprobe.records.report import Answer
from gradprobe.records.sampling import ModuleCall
from gradprobe.records.tensor import REQUIRES_GRAD


@dataclass(frozen=True, slots=True)
class Passage:
    """The values to which gradient of one root goes, and what follows for calls.

    `reached` holds values that the root's gradient comes to, connected to the leaf or not;
    `feeding` those that feed the root by a way that is not meant to be cut. `blind` says that on
    the way back from the root there was a history which could not be followed. `sources` are the
    leaf's values, `functions` the rows of custom Functions in order.
    """

    data: Dataflow
    flow: Flow
    sources: frozenset[int]
    functions: Sequence[int]
    reached: frozenset[int]
    feeding: frozenset[int]
    blind: bool

    def feeds(self, call: ModuleCall) -> bool:
        """Whether what a call gave feeds the root by a way that is not meant to be cut."""
        return any(value in self.feeding for value in self._given(call))

    def entered(self, call: ModuleCall) -> Answer:
        """Whether gradient of the root comes into a call, on its way to the leaf or elsewhere."""
        given = self._given(call)
        if any(value in self.reached for value in given):
            return "yes"
        may = self.blind and any(has_history(self.data, value) for value in given)
        return "unknown" if may else "no"

    def left(self, call: ModuleCall, came_in: bool = False) -> Answer:
        """Whether gradient that entered a call goes on towards the leaf through the call itself.

        `came_in`: that gradient entered is known from elsewhere.
        """
        entered = self.entered(call)
        if entered == "no":
            return "no"
        given = self._given(call)
        start = [value for value in given if value in self.reached]
        if entered == "unknown":
            start = [value for value in given if has_history(self.data, value)]
        through = self._through(call, start)
        sure = came_in or entered == "yes"
        return through if sure or through == "no" else "unknown"

    def is_closed(self, call: ModuleCall) -> bool:
        """Whether a call was recorded as one op, from all its arguments to all its results.

        What code that was not seen had made is told by its grad_fn; such a call is not.
        """
        ops = self.data.trace.ops
        if call.to_op - call.from_op != 1:
            return False
        callee = ops.callee_of(call.from_op)
        return callee.kind is Kind.UNSEEN and callee.name == f"{call.name}.forward"

    def _through(self, call: ModuleCall, start: Sequence[int]) -> Answer:
        """Whether an autograd path within a call leads from results to what the leaf gave it."""
        around = self._around(call)
        given = set(start)
        waiting, seen = list(start), set(start)
        blind = False
        while waiting:
            value = waiting.pop()
            op = self.data.producer[value]
            inside = call.from_op <= op < call.to_op or (around is not None and op == around.op)
            if inside and self.is_closed(call):
                return "unknown"
            # The output of code that was not seen is met when the call has returned.
            unseen = op >= 0 and self.data.trace.ops.callee_of(op).kind is Kind.UNSEEN
            inside = inside or (unseen and value in given)
            if not inside or value in self.sources:
                if value in self.flow.connected:
                    return "yes"
                blind = blind or (op < 0 and has_history(self.data, value))
                continue
            blind = blind or unseen
            for back in behind(self.data, value):
                if back not in seen:
                    seen.add(back)
                    waiting.append(back)
        return "unknown" if blind else "no"

    def _given(self, call: ModuleCall) -> Sequence[int]:
        """A call's results, without the arguments that it only handed on."""
        around = self._around(call)
        if around is not None:
            return self.data.outputs(around.op)
        made = [v for v in call.outputs if self.data.producer[v] >= call.from_op]
        return made or call.outputs

    def _around(self, call: ModuleCall) -> FunctionCall | None:
        """The custom Function (a reentrant checkpoint) within whose forward a call was made.

        Autograd sees that Function alone: what enters and leaves the call does so through it.
        """
        ops = self.data.trace.ops
        if call.from_op >= len(ops) or not ops.flags_of(call.from_op) & INSIDE_FUNCTION:
            return None
        position = bisect_left(self.functions, call.to_op)
        if position == len(self.functions):
            return None
        return self.data.functions[self.functions[position]]


def passage(data: Dataflow, flow: Flow, meant: frozenset[int] = frozenset()) -> Passage:
    """Follow gradient back from a flow's roots. `meant`: results of cuts that are no loss.

    Linear in the values that feed the root.
    """
    sources = frozenset(flow.leaf.values)
    reached: set[int] = set()
    waiting = [root for root in flow.roots if data.trace.values.has(root, REQUIRES_GRAD)]
    blind = False
    while waiting:
        value = waiting.pop()
        if value in reached:
            continue
        reached.add(value)
        if value in sources or not has_history(data, value):
            continue
        op = data.producer[value]
        blind = blind or op < 0 or data.trace.ops.callee_of(op).kind is Kind.UNSEEN
        waiting.extend(behind(data, value))
    feeding = _feeding(data, flow, sources, meant) if meant else flow.feeding
    functions = sorted(data.functions)
    return Passage(data, flow, sources, functions, frozenset(reached), feeding, blind)


def behind(data: Dataflow, value: int) -> Iterator[int]:
    """The values to which gradient of a value goes next."""
    op = data.producer[value]
    if op >= 0 and has_history(data, value):
        for carrier in carriers(data, op, data.inputs(op)):
            if data.trace.values.has(carrier, REQUIRES_GRAD):
                yield carrier


def _feeding(
    data: Dataflow, flow: Flow, sources: frozenset[int], meant: frozenset[int]
) -> frozenset[int]:
    """What feeds the root, past no cut that is meant."""

    def inputs_of(value: int, op: int) -> Iterable[int]:
        inputs = data.inputs(op)
        if value not in meant:
            return inputs
        kept = set(behind(data, value))
        return [v for v in inputs if v in kept or v not in flow.connected]

    feeding, _ = feeding_of(data, sources, flow.roots, inputs_of)
    return frozenset(feeding)
