"""Which ops a picture shows, and in which box: cuts in detail, long healthy stretches folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from gradprobe.graph.boxes import Boxes
from gradprobe.graph.cause import Cause, cause_of
from gradprobe.graph.close_up import runs_of, window
from gradprobe.graph.landmarks import DENOISED
from gradprobe.graph.points import Point, points_of, turn_at, users_of
from gradprobe.graph.view import Break, View
from gradprobe.graph.worth import Gradients
from gradprobe.records.picture import Box, Depth
from gradprobe.records.report import Finding
from gradprobe.records.sampling import ModuleCall

_AROUND = 2  # ops drawn on either side of a place, as far as the next named point
_WHOLE_TURNS = 6  # up to so many turns of the loop are drawn one by one,
_WHOLE_POINTS = 30  # unless they have more named points than this
_WHOLE = 80  # named points with a box of their own at most
_CUTS = 8
_DEAD = 3  # so many turns past a cut that gradient is lost on are one box: all look alike
_SHORT = 2  # points; so few are not worth a box for all of them


NONE: Mapping[int, int] = {}


@dataclass(frozen=True, slots=True)
class _Place:
    """What is shown closely: an op, the input that it stops the gradient of, and its result."""

    op: int
    source: int
    result: int


@dataclass(slots=True)
class Plan:
    """The boxes in order of time, and the box of each drawn op; a fold holds several."""

    boxes: dict[str, Box] = field(default_factory=dict)
    key_of: dict[int, str] = field(default_factory=dict)

    def draw(self, op: int, box: Box) -> None:
        self.key_of[op] = box.key
        self.boxes.setdefault(box.key, box)


def plan_of(
    view: View,
    findings: Sequence[Finding],
    turned: Mapping[int, int] = NONE,
    depth: Depth = "auto",
) -> Plan:
    """Choose the boxes; some 300 at most for any run.

    `turned` are the ops that made a gradient zero, or not finite, each with its finding's number.
    """
    users = users_of(view)
    gradients = Gradients(view)
    points = points_of(view, gradients)
    places = [*_shown_cuts(view, findings), *_shown_turns(view, turned)]
    near = {op for place in places for op in _near(view, users, points, place)}
    whole = _whole(points, {turn_at(view, place.op) for place in places})
    runs: Mapping[int, int] = {}
    if depth != "auto":
        centre = places[0].op if places else None
        if depth == "op":
            near.update(window(view, centre))
        else:
            runs = runs_of(view, centre, near.union(points))
    boxes = Boxes(view, gradients, numbered_cuts(view, findings), turned)
    plan = Plan()

    def group(op: int) -> tuple[str, int | None]:
        if op in runs:
            return "run", runs[op]
        point = points.get(op)
        if point is None or op in near:
            return "op", op
        if op not in whole:
            return "fold", None
        return ("calls", point.turn) if point.label == DENOISED else ("point", op)

    for (kind, _), members in groupby(sorted(near.union(points, runs)), group):
        ops = list(members)
        if kind == "op":
            plan.draw(ops[0], boxes.op(ops[0], points.get(ops[0])))
        elif kind == "run":
            box = boxes.run(ops)
            for op in ops:
                plan.draw(op, box)
        elif len(ops) <= _SHORT:
            for op in ops:
                plan.draw(op, boxes.point(points[op]))
        else:
            stretch = [points[op] for op in ops]
            box = boxes.calls(stretch) if kind == "calls" else boxes.fold(stretch)
            for op in ops:
                plan.draw(op, box)
    return plan


def numbered_cuts(view: View, findings: Sequence[Finding]) -> dict[int, int | None]:
    """The ops that lose gradient without being meant to, each with its finding's number."""
    cuts: dict[int, int | None] = {}
    for found in view.breaks:
        cause = cause_of(found, findings)
        if not found.hidden and not cause.meant:
            cuts.setdefault(found.cut.op, cause.finding)
    return cuts


def _shown_cuts(view: View, findings: Sequence[Finding]) -> list[_Place]:
    """The first break of each cause, but for what is meant to be cut."""
    first: dict[Cause, Break] = {}
    for found in view.breaks:
        if not found.hidden and found.cut.op >= 0:
            first.setdefault(cause_of(found, findings), found)
    cuts = [found.cut for cause, found in first.items() if not cause.meant][:_CUTS]
    return [_Place(cut.op, cut.source, cut.result) for cut in cuts]


def _shown_turns(view: View, turned: Mapping[int, int]) -> list[_Place]:
    """The first op of each finding that says where a gradient became zero, or not finite."""
    first: dict[int, _Place] = {}
    between = view.flow.between
    for op, finding in turned.items():
        taken = [v for v in view.data.inputs(op) if v in between]
        given = [v for v in view.data.outputs(op) if v in between]
        if taken and given:
            first.setdefault(finding, _Place(op, taken[0], given[0]))
    return list(first.values())[:_CUTS]


def _near(
    view: View, users: Mapping[int, Sequence[int]], points: Mapping[int, Point], place: _Place
) -> Iterable[int]:
    """The op of a place and those around it, along the way that gradient should have taken.

    The inside of a denoiser's call is told only if the place lies there.
    """
    yield place.op
    home = view.steps.call_at(place.op)
    between, connected = view.flow.between, view.flow.connected
    value = place.source
    for _ in range(_AROUND):
        back = view.data.producer[value]
        if back < 0 or value in view.leaf.values or _abroad(view, back, home):
            break
        yield back
        inputs = sorted(
            (v for v in view.data.inputs(back) if v in between), key=lambda v: v not in connected
        )
        if back in points or not inputs:
            break
        value = inputs[0]
    value = place.result
    for _ in range(_AROUND):
        ahead = next(iter(users.get(value, ())), None)
        if ahead is None or _abroad(view, ahead, home):
            break
        yield ahead
        results = [v for v in view.data.outputs(ahead) if v in between]
        if ahead in points or not results:
            break
        value = results[0]


def _abroad(view: View, op: int, home: ModuleCall | None) -> bool:
    """Whether an op ran inside another call of the denoiser than `home`."""
    call = view.steps.call_at(op)
    return call is not None and call is not home


def _whole(points: Mapping[int, Point], cuts: set[int | None]) -> set[int]:
    """The named ops that are drawn one by one: of a long run the ends, and around the cuts."""
    live = {p.turn for p in points.values() if p.state != "lost"}
    dead = {p.turn for p in points.values() if p.turn is not None} - live - cuts
    if len(dead) >= _DEAD:
        points = {op: p for op, p in points.items() if p.turn not in dead}
    turns = sorted({p.turn for p in points.values() if p.turn is not None})
    ends = {None, *turns[:1], *turns[-1:]}
    beside = {turn + by for turn in cuts if turn is not None for by in (-1, 0, 1)}
    few = len(turns) <= _WHOLE_TURNS and len(points) <= _WHOLE_POINTS
    chosen = [op for op, p in points.items() if few or p.turn in ends or p.turn in beside]
    if len(chosen) > _WHOLE:
        half = _WHOLE // 4
        first = {*chosen[:half], *chosen[-half:]}
        rest = [op for op in chosen if op not in first]
        rest.sort(key=lambda op: points[op].turn not in beside)
        chosen = [*first, *rest[: _WHOLE - len(first)]]
    return set(chosen)
