"""The points that a picture goes by: stages that are marked, and those that the dataflow shows.

They have the names and the steps that the report's records have.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradprobe.graph.landmarks import DENOISED, FINAL, START, Landmark, landmarks_of
from gradprobe.graph.view import View
from gradprobe.graph.worth import Gradients
from gradprobe.records.picture import State
from gradprobe.records.sampling import StageMark
from gradprobe.records.source import Frame


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


def turn_at(view: View, op: int) -> int | None:
    """The turn of the loop in which `op` ran, judged by the denoiser's call before it."""
    steps = view.steps
    position = bisect_right(steps.calls, op, key=lambda call: call.from_op) - 1
    if position < 0:
        return None
    step = steps.steps[position]
    return position if step is None else step


def points_of(view: View, gradients: Gradients) -> dict[int, Point]:
    """All points by their op, in order of time; an op with several names has its first."""
    landmarks = landmarks_of(view.steps)
    found: dict[int, Point] = {}
    ops = set(view.flow.ops)
    points = [*_marked(view, gradients, landmarks), *_discovered(view, gradients, landmarks)]
    # One value may be the last step's output and the final one: the ends are told by name.
    for point in sorted(points, key=lambda point: point.label not in (START, FINAL)):
        if point.op in ops:
            found.setdefault(point.op, point)
    return dict(sorted(found.items()))


def _marked(view: View, gradients: Gradients, landmarks: Sequence[Landmark]) -> Iterator[Point]:
    """What the user or an adapter named."""
    twins = {landmark.value: landmark for landmark in landmarks}
    for mark in view.trace.stages:
        if mark.value not in view.flow.between:
            continue
        op = view.data.producer[mark.value]
        twin = twins.get(mark.value)
        step = _step(view, mark, twin)
        # The user's own numbers need not be those of the loop.
        own = mark.source == "declared" and mark.step is not None and view.steps.calls
        yield Point(
            op,
            f"stage:{mark.name}:{mark.value}",
            mark.name,
            _detail(view, step, twin if mark.name == DENOISED else None),
            gradients.state((mark.value,)),
            mark.at,
            step,
            _turn(view, mark.name, op, None if own else step),
        )


def _step(view: View, mark: StageMark, twin: Landmark | None) -> int | None:
    if mark.step is not None:
        return mark.step
    return twin.step if twin is not None else view.steps.around(mark.at_op, mark.value)


def _discovered(view: View, gradients: Gradients, landmarks: Sequence[Landmark]) -> Iterator[Point]:
    """What the dataflow shows, but for what has been named otherwise."""
    if view.trace.looks != "auto":
        return
    names = {mark.name for mark in view.trace.stages}
    values = {mark.value for mark in view.trace.stages}
    for mark in landmarks:
        if mark.name in names or mark.value in values or mark.value not in view.flow.between:
            continue
        op = view.data.producer[mark.value]
        yield Point(
            op,
            f"stage:{mark.name}:{mark.value}",
            mark.name,
            _detail(view, mark.step, mark if mark.name == DENOISED else None),
            gradients.state((mark.value,)),
            mark.at,
            mark.step,
            _turn(view, mark.name, op, mark.step),
        )


def _detail(view: View, step: int | None, output: Landmark | None) -> str:
    """The step, and of a denoiser's output the call where the step has several."""
    if output is None or output.position is None:
        return "" if step is None else f"step {step}"
    if step is None:
        return f"call {output.position}"
    several = view.steps.steps.count(output.step) > 1
    return f"step {step}, call {output.call}" if several else f"step {step}"


def _turn(view: View, name: str, op: int, step: int | None) -> int | None:
    if name in (START, FINAL):
        return None
    return turn_at(view, op) if step is None else step
