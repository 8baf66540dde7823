"""From a flow to a picture that a person can take in: the cuts in detail, all else folded.

What is drawn: the leaf, the marked stages, each step's running state and denoiser outputs, a few
ops on either side of each cut, the root. Steps far from any cut become one box. Between drawn boxes
values are followed through whatever ops lie there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradprobe.graph.plan import plan_of
from gradprobe.graph.view import View
from gradprobe.graph.ways import arrows_of
from gradprobe.graph.worth import worth_of
from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.records.report import Finding

_UNUSED = "GP109"


def picture_of(view: View | None, findings: Sequence[Finding]) -> Picture:
    """The picture of one leaf's way to its root; `findings` name the causes on cut arrows."""
    if view is None:
        return Picture()
    if not view.flow.used:
        return _unused(view, findings)
    plan = plan_of(view, findings)
    leaf = _leaf(view, "lost" if view.total else worth_of(view, view.leaf.values[-1:]))
    boxes = (leaf, *plan.boxes.values(), _root(view))
    worthless = {box.key: box.state for box in boxes if box.state in ("zero", "nonfinite")}
    # What comes to a box is what runs back along the arrows that leave it.
    arrows = (
        replace(arrow, state=worthless[arrow.tail])
        if arrow.state == "live" and arrow.tail in worthless
        else arrow
        for arrow in arrows_of(view, plan, findings)
    )
    return Picture(boxes, tuple(arrows))


def _leaf(view: View, state: State) -> Box:
    meta = view.trace.values.describe(view.leaf.values[0])
    shape = "x".join(str(n) for n in meta.shape) or "scalar"
    return Box("leaf", "leaf", view.leaf.name, shape, state, view.leaf.at)


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
