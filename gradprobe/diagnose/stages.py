"""The hook records of a run: leaf, marked stages, stages that the dataflow shows, root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradprobe.graph.landmarks import DENOISED, INPUT, Landmark, landmarks_of, level_of
from gradprobe.graph.view import View
from gradprobe.records.report import Answer, Stage
from gradprobe.records.sampling import StageMark
from gradprobe.records.source import Frame
from gradprobe.records.tensor import LEAF, REQUIRES_GRAD
from gradprobe.records.trace import Trace

# Before and after the loop: no step, whatever ops lie around them.
_OUTSIDE = ("z0", "start_state", "final_output")


def stages_of(trace: Trace, views: Sequence[View]) -> tuple[Stage, ...]:
    """Every stage in order of time; of the root that the first view looks at.

    What the user or an adapter named takes the place of what was discovered under the same name,
    or as the same value inside the loop.
    """
    found: list[tuple[int, Stage]] = []
    for view in views:
        leaf = view.leaf
        # An optimiser's steps give the leaf another value each: the one that this run started from.
        used = (v for v in reversed(leaf.values) if v in view.flow.between)
        value = next(used, leaf.values[0])
        stage = _bare(trace, views, value, leaf.name, leaf.at)
        found.append((-1, replace(stage, grad=view.grad)))
    landmarks = landmarks_of(views[0].steps) if views else ()
    first, last = _judged(trace, views)
    for mark in trace.stages:
        if not first <= mark.at_op <= last:
            continue
        stage = _marked(trace, views, mark, landmarks)
        found.append((_moment(mark, stage, views), stage))
    if views:
        if trace.looks == "auto":
            found += _discovered(trace, views, landmarks)
        found.append((len(trace.ops), _root(trace, views)))
    found.sort(key=lambda pair: pair[0])
    return tuple(stage for _, stage in found)


def _judged(trace: Trace, views: Sequence[View]) -> tuple[int, int]:
    """From which op to which the iteration goes that the first view looks at.

    It begins after the pass before it that was called at the same line; what came before and after
    all passes belongs to the first and the last.
    """
    passed = views[0].passed if views else None
    if passed is None:
        return 0, len(trace.ops)
    same = [p for p in trace.passes if p.at == passed.at]
    position = same.index(passed)
    first = same[position - 1].at_op if position else 0
    return first, len(trace.ops) if passed is same[-1] else passed.at_op


def _moment(mark: StageMark, stage: Stage, views: Sequence[View]) -> int:
    """Where a mark stands among the stages: when it was named.

    But the state that a scheduler is called with came before the denoiser's answer to it.
    """
    if mark.name != INPUT or stage.step is None or not views:
        return mark.at_op
    steps, moment = views[0].steps, mark.at_op
    for call, step in reversed(list(zip(steps.calls, steps.steps, strict=True))):
        if call.from_op <= mark.at_op:
            if step != stage.step:
                break
            moment = call.from_op
    return moment


def _root(trace: Trace, views: Sequence[View]) -> Stage:
    first = views[0]
    stage = _bare(trace, views, first.flow.roots[0], first.root_name, first.root_at)
    return replace(stage, grad_fn=first.passed.grad_fn if first.passed is not None else None)


def _marked(
    trace: Trace, views: Sequence[View], mark: StageMark, landmarks: Sequence[Landmark]
) -> Stage:
    """A stage that the user or an adapter named."""
    stage = _bare(trace, views, mark.value, mark.name, mark.at)
    step, call, sigma = mark.step, None, mark.sigma
    # The state that a step ends with is the next one's input, and named in the step that made it.
    twins = (m for m in landmarks if m.value == mark.value and m.step is not None)
    twin = next((m for m in twins if m.name != INPUT), None)
    if twin is not None and mark.name not in _OUTSIDE:
        step = twin.step if step is None else step
        call = twin.call
        sigma = twin.sigma if sigma is None else sigma
    elif step is None and views and mark.name == INPUT:
        step = views[0].steps.begun_from(mark.value)
    elif step is None and views and mark.name not in _OUTSIDE:
        step = views[0].steps.around(mark.at_op, mark.value)
    if sigma is None and views and mark.source == "declared":
        sigma = level_of(views[0].steps, step)
    return replace(
        stage,
        step=step,
        call=call,
        sigma=sigma,
        grad_fn=mark.grad_fn,
        grad=mark.grad,
        value=mark.stats,
        device=mark.device or stage.device,
        is_leaf=stage.is_leaf if mark.is_leaf is None else mark.is_leaf,
        version=mark.version,
        source=mark.source,
    )


def _discovered(
    trace: Trace, views: Sequence[View], landmarks: Sequence[Landmark]
) -> Iterator[tuple[int, Stage]]:
    names = {mark.name for mark in trace.stages}
    declared = {mark.value for mark in trace.stages if mark.source == "declared"}
    adapted = {mark.value for mark in trace.stages if mark.source == "adapted"}
    first = views[0]
    measured = first.passed.measured if first.passed is not None else {}
    for mark in landmarks:
        if mark.name in names:
            continue
        # Where the loop starts and what it gives may be a step's too: they keep their own names. So
        # does the denoiser's answer beside a library's word for it.
        kept = _OUTSIDE if mark.value in declared else (*_OUTSIDE, DENOISED)
        if mark.value in declared | adapted and mark.name not in kept:
            continue
        stage = _bare(trace, views, mark.value, mark.name, mark.at)
        seen = measured.get(mark.value)
        call = None if mark.position is None else first.steps.calls[mark.position]
        grad = seen.grad if seen is not None else None
        if grad is None:
            grad = call.grad if call is not None else None
        if mark.value in first.leaf.values:
            grad = first.grad
        device = seen.device if seen is not None else None
        if call is not None:
            device = call.device
        yield (
            mark.op,
            replace(
                stage,
                step=mark.step,
                call=mark.call,
                sigma=mark.sigma,
                grad_fn=seen.grad_fn if seen is not None else mark.grad_fn,
                grad=grad,
                value=call.stats if call is not None else None,
                device=device or stage.device,
            ),
        )


def _bare(trace: Trace, views: Sequence[View], value: int, name: str, at: Frame | None) -> Stage:
    meta = trace.values.describe(value)
    requires_grad = trace.values.has(value, REQUIRES_GRAD)
    return Stage(
        name=name,
        step=None,
        sigma=None,
        at=at,
        shape=meta.shape,
        dtype=meta.dtype,
        requires_grad=requires_grad,
        grad_fn=None,
        connected={view.leaf.name: _connected(view, value) for view in views},
        device=None if meta.device == "unknown" else meta.device,
        is_leaf=not requires_grad or trace.values.has(value, LEAF),
    )


def _connected(view: View, value: int) -> Answer:
    if value in view.flow.connected:
        return "no" if view.total and value in view.flow.roots else "yes"
    if value in view.flow.between or value in view.flow.feeding:
        return "no"
    return "unknown"  # it feeds no root that was looked at
