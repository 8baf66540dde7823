"""The hook records of a run: leaf, marked stages, the denoiser's outputs, root."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.graph.view import View
from gradprobe.records.report import Answer, GradStats, Stage
from gradprobe.records.source import Frame
from gradprobe.records.tensor import REQUIRES_GRAD
from gradprobe.records.trace import Trace


def stages_of(trace: Trace, views: Sequence[View]) -> tuple[Stage, ...]:
    """Every stage in order of time; of the root that the first view looks at."""
    found: list[tuple[int, Stage]] = []
    for view in views:
        leaf = view.leaf
        found.append((-1, _stage(view, views, leaf.values[0], leaf.name, leaf.at, grad=view.grad)))
    for mark in trace.stages:
        stage = _bare(trace, views, mark.value, mark.name, mark.at)
        found.append((mark.at_op, _more(stage, mark.step, mark.sigma, mark.grad_fn, mark.grad)))
    if views:
        first = views[0]
        for call, step in zip(first.steps.calls, first.steps.steps, strict=True):
            output = next((v for v in call.outputs if v in first.flow.between), call.outputs[0])
            stage = _bare(trace, views, output, "denoiser_output", call.at)
            found.append((call.to_op, _more(stage, step, None, call.grad_fn, call.grad)))
        grad_fn = first.passed.grad_fn if first.passed is not None else None
        root = _bare(trace, views, first.flow.roots[0], first.root_name, first.root_at)
        found.append((len(trace.ops), _more(root, None, None, grad_fn, None)))
    found.sort(key=lambda pair: pair[0])
    return tuple(stage for _, stage in found)


def _stage(
    view: View,
    views: Sequence[View],
    value: int,
    name: str,
    at: Frame | None,
    grad: GradStats | None,
) -> Stage:
    return _more(_bare(view.trace, views, value, name, at), None, None, None, grad)


def _bare(trace: Trace, views: Sequence[View], value: int, name: str, at: Frame | None) -> Stage:
    meta = trace.values.describe(value)
    return Stage(
        name=name,
        step=None,
        sigma=None,
        at=at,
        shape=meta.shape,
        dtype=meta.dtype,
        requires_grad=trace.values.has(value, REQUIRES_GRAD),
        grad_fn=None,
        connected={view.leaf.name: _connected(view, value) for view in views},
    )


def _more(
    stage: Stage,
    step: int | None,
    sigma: float | None,
    grad_fn: str | None,
    grad: GradStats | None,
) -> Stage:
    from dataclasses import replace

    return replace(stage, step=step, sigma=sigma, grad_fn=grad_fn, grad=grad)


def _connected(view: View, value: int) -> Answer:
    if value in view.flow.connected:
        return "no" if view.total and value in view.flow.roots else "yes"
    if value in view.flow.between or value in view.flow.feeding:
        return "no"
    return "unknown"  # it feeds no root that was looked at
