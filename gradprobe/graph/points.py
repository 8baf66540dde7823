"""The points that a picture goes by: stages that are marked, or that the denoiser's calls show.

They have the names that the report's records have.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradprobe.graph.view import View
from gradprobe.records.picture import State
from gradprobe.records.sampling import ModuleCall
from gradprobe.records.source import Frame

DENOISED, START, INPUT, FINAL = "denoised_output", "start_state", "step_input", "final_output"
_FAR = 8  # ops between the running state and the denoiser that takes it (a scale, a cat, a cast)


@dataclass(frozen=True, slots=True)
class Point:
    """An op whose result has a name. `turn` is the turn of the sampling loop it belongs to."""

    op: int
    key: str
    label: str
    detail: str
    state: State
    at: Frame | None
    step: int | None
    turn: int | None


def users_of(view: View) -> Mapping[int, Sequence[int]]:
    """For each value, the ops on the way to the root that take it, in order."""
    users: dict[int, list[int]] = defaultdict(list)
    for op in view.flow.ops:
        for value in set(view.data.inputs(op)):
            users[value].append(op)
    return users


def state_of(view: View, values: Sequence[int]) -> State:
    """Whether gradient passes any of the values."""
    return "live" if any(v in view.flow.connected for v in values) else "lost"


def turn_at(view: View, op: int) -> int | None:
    """The turn of the loop in which `op` ran, judged by the denoiser's call before it."""
    steps = view.steps
    position = bisect_right(steps.calls, op, key=lambda call: call.from_op) - 1
    if position < 0:
        return None
    step = steps.steps[position]
    return position if step is None else step


def points_of(view: View, users: Mapping[int, Sequence[int]]) -> dict[int, Point]:
    """All points by their op, in order of time; an op with several names has its first."""
    found: dict[int, Point] = {}
    ops = set(view.flow.ops)
    # One value may be the last step's output and the final one: the ends are told by name.
    marked = sorted(_stages(view), key=lambda point: point.label not in (START, FINAL))
    named = {(point.label, point.turn) for point in marked}
    first = INPUT if any(point.label == START for point in marked) else START
    seen = (
        point
        for point in (*_calls(view), *_inputs(view, users, first))
        if (point.label, point.turn) not in named
    )
    for point in (*marked, *seen):
        if point.op in ops:
            found.setdefault(point.op, point)
    return dict(sorted(found.items()))


def _stages(view: View) -> Iterator[Point]:
    for mark in view.trace.stages:
        if mark.value in view.flow.between:
            op = view.data.producer[mark.value]
            counted = mark.source == "adapted" and mark.step is not None
            turn = turn_at(view, op) if view.steps.calls and not counted else mark.step
            if mark.name in (START, FINAL):
                turn = None
            detail = "" if mark.step is None else f"step {mark.step}"
            state = state_of(view, (mark.value,))
            key = f"stage:{mark.name}:{mark.value}"
            yield Point(op, key, mark.name, detail, state, mark.at, mark.step, turn)


def _calls(view: View) -> Iterator[Point]:
    """The denoiser's outputs."""
    calls, steps = view.steps.calls, view.steps.steps
    before: int | None = None
    nth = 0
    for position, (call, step) in enumerate(zip(calls, steps, strict=True)):
        nth = nth + 1 if step is not None and step == before else 0
        several = step is not None and step in (
            before,
            steps[position + 1] if position + 1 < len(steps) else None,
        )
        before = step
        value = next((v for v in call.outputs if v in view.flow.between), None)
        if value is None:
            continue
        detail = f"call {position}" if step is None else f"step {step}"
        detail += f", call {nth}" if several else ""
        turn = position if step is None else step
        state = state_of(view, call.outputs)
        op = view.data.producer[value]
        yield Point(op, f"call{position}", DENOISED, detail, state, call.at, step, turn)


def _inputs(view: View, users: Mapping[int, Sequence[int]], first: str) -> Iterator[Point]:
    """The running state that each step begins with; `first` is the name of the first."""
    before: int | None = None
    for position, (call, step) in enumerate(zip(view.steps.calls, view.steps.steps, strict=True)):
        if step is not None and step == before:
            continue
        before = step
        value = _state_before(view, users, call)
        if value is None:
            continue
        op = view.data.producer[value]
        unit, turn = ("call", position) if step is None else ("step", step)
        at = view.place_of(op)
        state = state_of(view, (value,))
        label = INPUT if position else first
        yield Point(op, f"in{turn}", label, f"{unit} {turn}", state, at, step, turn)


def _state_before(view: View, users: Mapping[int, Sequence[int]], call: ModuleCall) -> int | None:
    """The state that a call's input was made from; None where that is the leaf itself.

    A sampler scales the state, casts it or doubles it for guidance before the call, and goes on
    with the state. So the last value on the way back is meant that something else uses too.
    """
    first = next((v for v in call.inputs if v in view.flow.between), None)
    value = first
    below = -1
    for _ in range(_FAR):
        if value is None or value in view.leaf.values:
            return None
        if any(op != below and not call.from_op <= op < call.to_op for op in users.get(value, ())):
            return value
        below = view.data.producer[value]
        inputs = (
            {v for v in view.data.inputs(below) if v in view.flow.between} if below >= 0 else ()
        )
        if len(inputs) != 1:
            break
        (value,) = inputs
    return first
