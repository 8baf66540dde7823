"""Which calls between leaf and root are the denoiser's."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow
from gradprobe.graph.function_calls import function_calls
from gradprobe.records.sampling import ModuleCall
from gradprobe.records.trace import Trace


def denoiser_calls(data: Dataflow, flow: Flow) -> tuple[ModuleCall, ...]:
    """The denoiser's calls in order of time; none where no denoiser is found.

    The denoiser is the module that the user named; else the outermost module that is called at
    least twice and gives what comes from the leaf; else a function of which the same holds.
    """
    trace = data.trace
    by_module: dict[int, list[ModuleCall]] = {}
    for call in trace.calls:
        if any(v in flow.between for v in call.outputs) and _enters(flow, call):
            by_module.setdefault(call.module, []).append(call)
    if trace.denoiser is not None:
        named = [calls for calls in by_module.values() if trace.denoiser in names_of(trace, calls)]
        if not named:
            return function_calls(data, flow, trace.denoiser)
        return _outermost(named)
    repeated = [calls for calls in by_module.values() if len(calls) > 1]
    return _outermost(repeated) if repeated else function_calls(data, flow, None)


def _enters(flow: Flow, call: ModuleCall) -> bool:
    """Whether the leaf's values go in: as an argument, or as the module's own parameter."""
    return flow.leaf.in_module or any(v in flow.between for v in call.inputs)


def names_of(trace: Trace, calls: Sequence[ModuleCall]) -> set[str]:
    """A module's class, and the names by which its callers call it."""
    places = {call.where.frames[-1][1] for call in calls if call.where.frames}
    return {calls[0].name, *(trace.called_at[p] for p in places if p in trace.called_at)}


def _outermost(groups: Sequence[list[ModuleCall]]) -> tuple[ModuleCall, ...]:
    calls = min(groups, key=lambda group: (min(c.depth for c in group), group[0].from_op))
    return tuple(sorted(calls, key=lambda call: call.from_op))
