"""Calls of a denoiser that is no module: found as stretches of ops that ran under one function.

Ops say in which function they ran, and places who called it when they were first reached. So a call
is a stretch of ops of one function and of what it calls, between ops of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow
from gradprobe.records.sampling import ModuleCall, Where

# Names that denoisers go by where nothing else tells them from a sampler's other functions.
USUAL = frozenset(
    (
        "denoiser", "denoise", "model", "net", "unet", "network", "score", "score_fn", "velocity",
        "drift", "eps_model", "x0_fn", "model_fn", "denoise_fn", "denoiser_fn", "noise_pred_fn",
        "predict_noise",
    )
)  # fmt: skip

_NEAR = 64  # ops that a call may begin with before the state is used: a schedule, a table


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One call: its first and last op on the way, what came in and what is used outside."""

    ops: Sequence[int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def function_calls(data: Dataflow, flow: Flow, name: str | None) -> tuple[ModuleCall, ...]:
    """The calls of the one function that can be the denoiser; none if there is none, or two.

    It takes one state and gives one of the same size, at least twice and not of the same state each
    time. It is the function that the user named; else one that the sampler was handed (it calls a
    variable); else one that goes by a usual name.
    """
    found: dict[int, list[_Stretch]] = {}
    for function, stretches in _stretches(data, flow).items():
        calls = [call for run in stretches for call in _parallel(data, flow, run)]
        if len(calls) > 1 and _is_denoiser(data, calls):
            found[function] = calls
    if name is not None:
        chosen = [f for f in found if name in _names(data, found[f][0], f)]
    else:
        chosen = [f for f in found if _is_held(data, found[f][0], f)]
        chosen = chosen or [f for f in found if _names(data, found[f][0], f) & USUAL]
    outer = [f for f in chosen if not any(_within(found[f], found[g]) for g in chosen if g != f)]
    if len(outer) != 1:
        return ()
    (function,) = outer
    return tuple(_as_call(data, call, function) for call in found[function])


def _stretches(data: Dataflow, flow: Flow) -> dict[int, list[list[int]]]:
    """By function: the stretches of ops on the way that ran in it or in what it called."""
    trace = data.trace
    chains: dict[int, frozenset[int]] = {}
    found: dict[int, list[list[int]]] = {}
    running: dict[int, list[int]] = {}
    for op in flow.ops:
        site = trace.ops.site[op]
        if site not in chains:
            chains[site] = frozenset(_functions(data, site))
        chain = chains[site]
        running = {function: run for function, run in running.items() if function in chain}
        for function in chain:
            if function not in running:
                running[function] = []
                found.setdefault(function, []).append(running[function])
            running[function].append(op)
    return {function: runs for function, runs in found.items() if len(runs) > 1}


def _functions(data: Dataflow, site: int) -> Sequence[int]:
    """The function that a place lies in, and those around it, innermost first."""
    trace = data.trace
    found = []
    seen: set[int] = set()
    while 0 < site < len(trace.functions_at) and site not in seen:
        seen.add(site)
        found.append(trace.functions_at[site])
        site = trace.callers[site]
    return found


def _parallel(data: Dataflow, flow: Flow, run: list[int]) -> list[_Stretch]:
    """One stretch, or the calls in a row that it is made of: those that do not feed each other."""
    sites = data.trace.ops.site
    starts = [i for i, op in enumerate(run) if sites[op] == sites[run[0]]]
    pieces = [run[a:b] for a, b in zip(starts, [*starts[1:], len(run)], strict=True)]
    if len(pieces) > 1 and len({len(piece) for piece in pieces}) == 1:
        calls = [_stretch(data, flow, piece) for piece in pieces]
        made = {v for piece in pieces for op in piece for v in data.outputs(op)}
        if all(v not in made for call in calls for v in call.inputs):
            return calls
    return [_stretch(data, flow, run)]


def _stretch(data: Dataflow, flow: Flow, ops: Sequence[int]) -> _Stretch:
    made = [v for op in ops for v in data.outputs(op) if v in flow.between]
    inside, known = set(ops), set(made)
    inputs = [v for op in ops for v in data.inputs(op) if v in flow.between and v not in known]
    outputs = [v for v in made if any(op not in inside for op in flow.users.get(v, ()))]
    return _Stretch(ops, tuple(dict.fromkeys(inputs)), tuple(outputs))


def _is_denoiser(data: Dataflow, calls: Sequence[_Stretch]) -> bool:
    """Whether every call turns one state into one of its size, and not always the same one."""
    states = set()
    for call in calls:
        if len(call.inputs) != 1 or len(call.outputs) != 1:
            return False
        shapes = {data.trace.values.describe(v).shape for v in (*call.inputs, *call.outputs)}
        if len(shapes) != 1 or not shapes.pop():
            return False
        states.add(call.inputs[0])
    return len(states) > 1


def _entry(data: Dataflow, call: _Stretch, function: int) -> int:
    """The place from which the function was called, as it was first seen."""
    site = data.trace.ops.site[call.ops[0]]
    while site > 0 and data.trace.functions_at[site] != function:
        site = data.trace.callers[site]
    return data.trace.callers[site]


def _is_held(data: Dataflow, call: _Stretch, function: int) -> bool:
    return _entry(data, call, function) in data.trace.held


def _names(data: Dataflow, call: _Stretch, function: int) -> set[str]:
    qualname = data.trace.function_names[function]
    called = data.trace.called_at.get(_entry(data, call, function), qualname)
    return {called, qualname, qualname.rpartition(".")[2]}


def _within(inner: Sequence[_Stretch], outer: Sequence[_Stretch]) -> bool:
    """Whether every call of one lies in a call of the other, and some do not fill it."""
    around = {op: number for number, call in enumerate(outer) for op in call.ops}
    places = [{around.get(op) for op in call.ops} for call in inner]
    if any(len(numbers) != 1 or None in numbers for numbers in places):
        return False
    return sum(len(c.ops) for c in inner) < sum(len(c.ops) for c in outer)


def _as_call(data: Dataflow, call: _Stretch, function: int) -> ModuleCall:
    trace = data.trace
    entry = _entry(data, call, function)
    where = _stack(data, call, function)
    if where.frames:
        entry = where.frames[-1][1]
    return ModuleCall(
        module=-1 - function,
        name=trace.function_names[function].rpartition(".")[2],
        depth=0,
        from_op=call.ops[0],
        to_op=call.ops[-1] + 1,
        inputs=call.inputs,
        outputs=call.outputs,
        where=where,
        at=trace.frames[entry] if entry < len(trace.frames) else None,
    )


def _stack(data: Dataflow, call: _Stretch, function: int) -> Where:
    """The stack of the place that called the function, where it was taken."""
    trace = data.trace
    for op in range(call.ops[0], max(call.ops[0] - _NEAR, -1), -1):
        where = trace.stacks.get(op)
        if where is not None:
            inside = [n for n, f in enumerate(where.frames) if trace.functions_at[f[1]] == function]
            if inside and inside[0]:
                return Where(where.frames[: inside[0]])
    return Where(())
