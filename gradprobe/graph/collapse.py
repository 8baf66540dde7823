"""From a flow to a picture that a person can take in: the cuts in detail, all else folded.

What is drawn: the leaf, the marked stages, each step's running state and denoiser outputs, a few
ops on either side of each cut, the root. Steps far from any cut become one box. Between drawn boxes
values are followed through whatever ops lie there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradprobe.graph.cause import label_of
from gradprobe.graph.plan import NONE, plan_of
from gradprobe.graph.view import View
from gradprobe.graph.ways import arrows_of
from gradprobe.graph.worth import Gradients
from gradprobe.records.picture import Arrow, Box, Depth, Picture, State
from gradprobe.records.report import Finding

_UNUSED = "GP109"
_WORTHLESS: frozenset[State] = frozenset({"zero", "nonfinite"})


def picture_of(
    view: View,
    findings: Sequence[Finding],
    turned: Mapping[int, int] = NONE,
    depth: Depth = "auto",
) -> Picture:
    """The picture of one leaf's way to its root; `findings` name the causes on cut arrows.

    `turned` are ops that made the gradient zero, or not finite, or at which backward raised, each
    with its finding's number.
    """
    if not view.flow.used:
        return _unused(view, findings)
    plan = plan_of(view, findings, turned, depth)
    gradients = Gradients(view)
    nothing = view.total or view.raised
    leaf = _leaf(view, "lost" if nothing else gradients.worth(view.leaf.values[-1:]))
    arrows = arrows_of(view, plan, findings)
    boxes = _inferred((leaf, *plan.boxes.values(), _root(view)), arrows)
    # What comes to a box is what runs back along the arrows that leave it.
    comes = {box.key: box.state for box in boxes}
    for op, key in plan.key_of.items():
        if op in turned:
            comes[key] = gradients.state(view.data.outputs(op))
    made = {plan.key_of[op]: number for op, number in turned.items() if op in plan.key_of}

    def carried(arrow: Arrow) -> State:
        if arrow.state == "live" and view.raised and arrow.head in made:
            return "cut"
        worthless = arrow.state == "live" and comes[arrow.tail] in _WORTHLESS
        return comes[arrow.tail] if worthless else arrow.state

    drawn = (
        arrow
        if (state := carried(arrow)) == arrow.state
        else _told(replace(arrow, state=state), made.get(arrow.head), findings)
        for arrow in arrows
    )
    return Picture(boxes, tuple(drawn), depth)


def _inferred(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> tuple[Box, ...]:
    """Where no gradient was measured, what is told by all that the box hands its values to."""
    ahead: dict[str, list[str]] = {}
    for arrow in arrows:
        if arrow.state != "lost":
            ahead.setdefault(arrow.tail, []).append(arrow.head)
    gives: dict[str, State] = {}
    told: list[Box] = []
    for box in reversed(boxes):
        given = {gives.get(head, "live") for head in ahead.get(box.key, ())}
        if box.state == "live" and box.norm is None and len(given) == 1 and given <= _WORTHLESS:
            box = replace(box, state=given.pop())
        gives[box.key] = box.state
        told.append(box)
    return tuple(reversed(told))


def _told(arrow: Arrow, finding: int | None, findings: Sequence[Finding]) -> Arrow:
    """With the finding of the op that takes it, if that is why it carries nothing of worth."""
    if finding is None:
        return arrow
    return replace(arrow, label=label_of(findings[finding]), finding=finding)


def _leaf(view: View, state: State) -> Box:
    meta = view.trace.values.describe(view.leaf.values[0])
    shape = "x".join(str(n) for n in meta.shape) or "scalar"
    norm = None if view.grad is None else view.grad.norm
    return Box("leaf", "leaf", view.leaf.name, shape, state, view.leaf.at, norm=norm)


def _root(view: View) -> Box:
    state: State = "lost" if view.total or not view.flow.reaches else "live"
    detail = view.passed.how if view.passed is not None else ""
    return Box("root", "root", view.root_name, detail, state, view.root_at)


def _unused(view: View, findings: Sequence[Finding]) -> Picture:
    """A leaf whose values go nowhere, and what feeds the root in its place."""
    leaf, root = _leaf(view, "cut"), _root(view)
    own = (f for f in findings if f.leaf == leaf.label and f.code == _UNUSED)
    instead = next((f.opened_by for f in own if f.opened_by), None)
    if instead is None:
        return Picture((leaf, root))
    source = Box("source", "source", "used instead", instead.expression, "unknown", instead)
    return Picture((leaf, source, root), (Arrow("source", "root", "unknown"),))
