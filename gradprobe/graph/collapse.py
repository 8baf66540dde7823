"""From a flow to a picture that a person can take in: the cuts in detail, all else folded.

What is drawn: the leaf, the marked stages, the denoiser's outputs by step, a few ops on either side
of each cut, the root. Healthy steps far from any cut become one box. Between drawn boxes values are
followed through whatever ops lie there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from gradprobe.graph.view import View
from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame

_AROUND = 3  # ops drawn on either side of a cut
_WHOLE_STEPS = 12  # up to so many steps each have a box of their own
_NEAR = 4  # an op between boxes leads back to so many of them at most
_BOXES = 280
_CUTS = 8


@dataclass(frozen=True, slots=True)
class _Way:
    """How values come from one box to the next: with gradient, cut on the way, or lost before."""

    state: State
    label: str = ""

    def through(self, live: bool, label: str) -> _Way:
        """The same way, one op further."""
        return self if live or self.state != "live" else _Way("cut", label)

    def beside(self, other: _Way | None) -> _Way:
        """Two ways between the same boxes: partly live where one carries gradient."""
        if other is None or other == self:
            return self
        label = self.label or other.label
        states = {self.state, other.state}
        if states == {"cut", "lost"}:
            return _Way("cut", label)
        return _Way("partial" if label else "live", label)


@dataclass(slots=True)
class _Plan:
    """Which op is drawn in which box; several ops may share one."""

    boxes: dict[str, Box] = field(default_factory=dict)
    key_of: dict[int, str] = field(default_factory=dict)
    arrows: dict[tuple[str, str], Arrow] = field(default_factory=dict)

    def draw(self, op: int, box: Box) -> None:
        if op not in self.key_of and (box.key in self.boxes or len(self.boxes) < _BOXES):
            self.key_of[op] = box.key
            self.boxes.setdefault(box.key, box)

    def link(self, tail: str, head: str, way: _Way, findings: Sequence[Finding]) -> None:
        if tail == head:
            return
        known = self.arrows.get((tail, head))
        if known is not None:
            way = way.beside(_Way(known.state, known.label))
        number = _number(way.label, findings) if way.label else None
        self.arrows[tail, head] = Arrow(tail, head, way.state, way.label, number)


def picture_of(view: View | None, findings: Sequence[Finding]) -> Picture:
    """The picture of one leaf's way to its root."""
    if view is None:
        return Picture()
    if not view.flow.used:
        return _unused(view, findings)
    plan = _Plan()
    _draw_cuts(view, plan)
    _draw_stages(view, plan)
    _draw_calls(view, plan)
    _connect(view, plan, findings)
    return Picture(
        (_leaf(view), *_ordered(plan), _root(view)),
        tuple(plan.arrows.values()),
    )


def _ordered(plan: _Plan) -> list[Box]:
    first: dict[str, int] = {}
    for op, key in sorted(plan.key_of.items()):
        first.setdefault(key, op)
    return [plan.boxes[key] for key in sorted(first, key=first.__getitem__)]


def _draw_cuts(view: View, plan: _Plan) -> None:
    seen: set[tuple[str, int]] = set()
    shown = [b for b in view.breaks if not b.hidden and b.cut.op >= 0]
    for found in shown:
        place = (found.at.file, found.at.line)
        if place in seen or len(seen) >= _CUTS:
            continue
        seen.add(place)
        near = [found.cut.op]
        back = view.data.producer[found.cut.source]
        for _ in range(_AROUND):
            if back < 0 or back not in set(view.flow.ops):
                break
            near.append(back)
            inputs = [v for v in view.data.inputs(back) if v in view.flow.between]
            back = view.data.producer[inputs[0]] if inputs else -1
        ahead = found.cut.result
        for _ in range(_AROUND):
            following = next(view.users(ahead), None)
            if following is None:
                break
            near.append(following)
            results = [v for v in view.data.outputs(following) if v in view.flow.between]
            if not results:
                break
            ahead = results[0]
        for op in near:
            plan.draw(op, _op_box(view, op))


def _op_box(view: View, op: int) -> Box:
    at = view.place_of(op)
    name = view.trace.ops.callee_of(op).name.removeprefix("torch.").removeprefix("Tensor.")
    cut = any(b.cut.op == op and not b.hidden for b in view.breaks)
    return Box(
        key=f"op{op}",
        kind="op",
        label=name,
        detail=at.expression if at is not None else "",
        state="cut" if cut else _state(view, view.data.outputs(op)),
        at=at,
        step=view.steps.of(op),
    )


def _draw_stages(view: View, plan: _Plan) -> None:
    marks = [s for s in view.trace.stages if s.value in view.flow.between]
    for mark in marks[: _BOXES // 2]:
        op = view.data.producer[mark.value]
        if op >= 0:
            step = "" if mark.step is None else f"step {mark.step}"
            key = f"stage:{mark.name}:{mark.step}"
            state = _state(view, (mark.value,))
            plan.draw(op, Box(key, "stage", mark.name, step, state, mark.at, mark.step))


def _draw_calls(view: View, plan: _Plan) -> None:
    """The denoiser's outputs; long healthy stretches fold into one box."""
    steps = view.steps
    cut_steps = {steps.of(b.cut.op) for b in view.breaks if not b.hidden}
    last = len(steps.calls) - 1
    stretch: list[tuple[int, int]] = []  # (position, op) of calls that may fold
    for position, (call, step) in enumerate(zip(steps.calls, steps.steps, strict=True)):
        value = next((v for v in call.outputs if v in view.flow.between), None)
        op = view.data.producer[value] if value is not None else -1
        if op < 0:
            continue
        number = position if step is None else step
        near_cut = any(c is not None and abs(number - c) <= 1 for c in cut_steps)
        whole = len(steps.calls) <= _WHOLE_STEPS or position in (0, last) or near_cut
        if whole:
            _fold(view, plan, stretch)
            stretch = []
            detail = f"call {position}" if step is None else f"step {step}"
            state = _state(view, call.outputs)
            box = Box(f"call{position}", "stage", "denoiser", detail, state, call.at, step)
            plan.draw(op, box)
        else:
            stretch.append((number, op))
    _fold(view, plan, stretch)


def _fold(view: View, plan: _Plan, stretch: Sequence[tuple[int, int]]) -> None:
    if not stretch:
        return
    first, last = stretch[0][0], stretch[-1][0]
    states = {_state(view, view.data.outputs(op)) for _, op in stretch}
    state: State = states.pop() if len(states) == 1 else "partial"
    word = {"live": "healthy", "lost": "no gradient", "partial": "partly live"}.get(state, state)
    label = f"steps {first}-{last}" if first != last else f"step {first}"
    for _, op in stretch:
        plan.draw(op, Box(f"fold{first}", "fold", label, word, state, None, first))


def _connect(view: View, plan: _Plan, findings: Sequence[Finding]) -> None:
    """Arrows between drawn boxes, along the values that pass from one to the next.

    A way is live only if every value on it keeps its gradient; it is cut if an op on it loses it,
    drawn or not; past a cut it is lost.
    """
    connected = view.flow.connected
    near: dict[int, dict[str, _Way]] = {}
    for value in view.flow.between.intersection(view.leaf.values):
        near[value] = {"leaf": _Way("live" if value in connected else "lost")}
    for left, came_back in _returns(view):
        near.setdefault(came_back, {k: w.through(False, "") for k, w in near.get(left, {}).items()})
    for op in view.flow.ops:
        results = [v for v in view.data.outputs(op) if v in view.flow.between]
        live = any(v in connected for v in results)
        ways: dict[str, _Way] = {}
        for value in view.data.inputs(op):
            cut_at = None if live or value not in connected else view.place_of(op)
            label = _label(cut_at, findings) if cut_at is not None else ""
            for key, way in near.get(value, {}).items():
                ways[key] = way.through(live and value in connected, label).beside(ways.get(key))
        drawn = plan.key_of.get(op)
        if drawn is not None:
            for tail, way in ways.items():
                plan.link(tail, drawn, way, findings)
            ways = {drawn: _Way("live" if live else "lost")}
        for value in results:
            if value not in view.leaf.values:
                near[value] = dict(list(ways.items())[-_NEAR:])
    for root in view.flow.roots:
        for tail, way in near.get(root, {}).items():
            plan.link(tail, "root", way, findings)


def _returns(view: View) -> list[tuple[int, int]]:
    return [
        (view.trace.exits[r.exit].value, value)
        for value, r in view.data.suspected.items()
        if value in view.flow.between
    ]


def _label(at: Frame, findings: Sequence[Finding]) -> str:
    where = f"{os.path.basename(at.file)}:{at.line}"
    finding = next((f for f in findings if f.at.file == at.file and f.at.line == at.line), None)
    return where if finding is None else f"{finding.code} {where}"


def _number(label: str, findings: Sequence[Finding]) -> int | None:
    """Which finding a label speaks of."""
    labels = [_label(finding.at, findings) for finding in findings]
    return labels.index(label) if label in labels else None


def _state(view: View, values: Sequence[int]) -> State:
    return "live" if any(v in view.flow.connected for v in values) else "lost"


def _leaf(view: View) -> Box:
    meta = view.trace.values.describe(view.leaf.values[0])
    shape = "x".join(str(n) for n in meta.shape) or "scalar"
    state: State = "lost" if view.total else "live"
    return Box("leaf", "leaf", view.leaf.name, shape, state, view.leaf.at)


def _root(view: View) -> Box:
    state: State = "live" if view.flow.reaches else "lost"
    detail = view.passed.how if view.passed is not None else ""
    return Box("root", "root", view.root_name, detail, state, view.root_at)


def _unused(view: View, findings: Sequence[Finding]) -> Picture:
    """A leaf that nothing used, and what stands in its place."""
    mine = next((n for n, f in enumerate(findings) if f.leaf == view.leaf.name), None)
    boxes = [_leaf(view)]
    arrows: list[Arrow] = []
    finding = findings[mine] if mine is not None else None
    label = ""
    if finding is not None:
        label = _label(finding.at, findings)
        if finding.opened_by is not None:
            at = finding.opened_by
            boxes.append(Box("source", "source", "used instead", at.expression, "unknown", at))
            arrows.append(Arrow("source", "root", "unknown"))
    boxes.append(_root(view))
    arrows.append(Arrow("leaf", "root", "cut", label, mine))
    return Picture(tuple(boxes), tuple(arrows))
