"""Which ops a picture shows, and in which box: cuts in detail, long healthy stretches folded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from gradprobe.graph.landmarks import DENOISED
from gradprobe.graph.points import Point, points_of, state_of, turn_at, users_of
from gradprobe.graph.view import Break, View
from gradprobe.records.picture import Box, State
from gradprobe.records.report import WRONG, Finding
from gradprobe.records.sampling import ModuleCall

_AROUND = 2  # ops drawn on either side of a cut, as far as the next named point
_WHOLE_TURNS = 6  # up to so many turns of the loop are drawn one by one,
_WHOLE_POINTS = 30  # unless they have more named points than this
_WHOLE = 80  # named points with a box of their own at most
_CUTS = 8
_DEAD = 3  # so many turns past a cut that gradient is lost on are one box: all look alike
_SHORT = 2  # points; so few are not worth a box for all of them


@dataclass(slots=True)
class Plan:
    """The boxes in order of time, and the box of each drawn op; a fold holds several."""

    boxes: dict[str, Box] = field(default_factory=dict)
    key_of: dict[int, str] = field(default_factory=dict)

    def draw(self, op: int, box: Box) -> None:
        self.key_of[op] = box.key
        self.boxes.setdefault(box.key, box)


@dataclass(frozen=True, slots=True)
class Cause:
    """What stands on an arrow that is cut: code and line of the finding that explains it.

    `meant`: the finding is only a note, as of a solver that leaves its step size undifferentiated.
    """

    label: str
    finding: int | None
    meant: bool = False


def cause_of(found: Break, findings: Sequence[Finding]) -> Cause:
    """The finding that explains a break: by its own line, or by the stretch that it lies in."""
    for number, finding in enumerate(findings):
        if finding.code in WRONG:
            continue
        if (finding.at.file, finding.at.line) == (found.at.file, found.at.line):
            return _cause(finding, number)
    opened = found.region.opened_by if found.region is not None else None
    for number, finding in enumerate(findings):
        by = finding.opened_by
        same = opened is not None and by is not None and by.place == opened.place
        if same or any(r.at.place == found.at.place for r in finding.related):
            return _cause(finding, number)
    return Cause(f"{os.path.basename(found.at.file)}:{found.at.line}", None)


def _cause(finding: Finding, number: int) -> Cause:
    """`GP102 sampling.py:117`: the line that is to blame, wherever the first op was lost."""
    at = finding.cause
    label = f"{finding.code} {os.path.basename(at.file)}:{at.line}"
    return Cause(label, number, meant=finding.severity == "note")


def plan_of(view: View, findings: Sequence[Finding]) -> Plan:
    """Choose the boxes; some 300 at most for any run."""
    users = users_of(view)
    points = points_of(view)
    shown = _shown_cuts(view, findings)
    near = {op for found in shown for op in _near(view, users, points, found)}
    whole = _whole(points, {turn_at(view, found.cut.op) for found in shown})
    cut = {
        found.cut.op
        for found in view.breaks
        if not found.hidden and not cause_of(found, findings).meant
    }
    plan = Plan()

    def group(op: int) -> tuple[str, int | None]:
        point = points.get(op)
        if point is None or op in near:
            return "op", op
        if op not in whole:
            return "fold", None
        return ("calls", point.turn) if point.label == DENOISED else ("point", op)

    for (kind, _), members in groupby(sorted(near.union(points)), group):
        ops = list(members)
        if kind == "op":
            plan.draw(ops[0], _op_box(view, ops[0], points.get(ops[0]), ops[0] in cut))
        elif len(ops) <= _SHORT:
            for op in ops:
                plan.draw(op, _point_box(points[op]))
        else:
            stretch = [points[op] for op in ops]
            box = _calls_box(stretch) if kind == "calls" else _fold_box(view, stretch)
            for op in ops:
                plan.draw(op, box)
    return plan


def _shown_cuts(view: View, findings: Sequence[Finding]) -> list[Break]:
    """The first break of each cause, but for what is meant to be cut."""
    first: dict[Cause, Break] = {}
    for found in view.breaks:
        if not found.hidden and found.cut.op >= 0:
            first.setdefault(cause_of(found, findings), found)
    return [found for cause, found in first.items() if not cause.meant][:_CUTS]


def _near(
    view: View, users: Mapping[int, Sequence[int]], points: Mapping[int, Point], found: Break
) -> Iterable[int]:
    """The cut op and the ops around it, along the way that gradient should have taken.

    The inside of a denoiser's call is told only if the cut lies there.
    """
    yield found.cut.op
    home = view.steps.call_at(found.cut.op)
    between, connected = view.flow.between, view.flow.connected
    value = found.cut.source
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
    value = found.cut.result
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


def _point_box(point: Point) -> Box:
    return Box(point.key, "stage", point.label, point.detail, point.state, point.at, point.step)


def _op_box(view: View, op: int, point: Point | None, cut: bool) -> Box:
    at = view.place_of(op)
    name = view.trace.ops.callee_of(op).name.removeprefix("torch.").removeprefix("Tensor.")
    return Box(
        key=f"op{op}",
        kind="op" if point is None else "stage",
        label=name if point is None else point.label,
        detail=at.expression if at is not None else "",
        state="cut" if cut else state_of(view, view.data.outputs(op)),
        at=at,
        step=view.steps.of(op) if point is None else point.step,
    )


def _calls_box(calls: Sequence[Point]) -> Box:
    """One box for the calls of one step that nothing drawn lies between."""
    first = calls[0]
    at = first.detail.partition(", ")[0]
    detail = f"{at}, {len(calls)} calls"
    return Box(first.key, "stage", first.label, detail, _common(calls), first.at, first.step)


def _fold_box(view: View, stretch: Sequence[Point]) -> Box:
    """One box for a stretch of turns."""
    state = _common(stretch)
    turns = sorted({point.turn for point in stretch if point.turn is not None})
    unit = "call" if view.steps.calls and view.steps.steps[0] is None else "step"
    if not turns:
        label, count = f"{len(stretch)} stages", ""
    elif len(turns) == 1:
        label, count = f"{unit} {turns[0]}", ""
    else:
        label, count = f"{unit}s {turns[0]}-{turns[-1]}", f"{len(turns)} {unit}s"
    detail = ", ".join(filter(None, (count, "healthy" if state == "live" else "")))
    first = turns[0] if turns else None
    return Box(f"fold{stretch[0].op}", "fold", label, detail, state, None, first)


def _common(points: Sequence[Point]) -> State:
    states = {point.state for point in points}
    return states.pop() if len(states) == 1 else "partial"
