"""What the gradient that comes to a value is worth: connected with a zero is not cut."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.graph.view import View
from gradprobe.records.picture import State
from gradprobe.records.report import GradStats


def worth_of(view: View, values: Sequence[int]) -> State:
    """The state of connected values: live where nothing else is known of their gradients."""
    known = [grad for value in values if (grad := grad_of(view, value)) is not None]
    return worth(known)


def worth(grads: Sequence[GradStats]) -> State:
    """Not finite where one is, zero where all are, else live."""
    if any(grad.nonfinite for grad in grads):
        return "nonfinite"
    return "zero" if grads and all(grad.abs_max == 0 for grad in grads) else "live"


def grad_of(view: View, value: int) -> GradStats | None:
    """Statistics of a value's gradient in the pass that is looked at, where it was measured."""
    if value in view.leaf.values:
        return view.grad
    seen = None if view.passed is None else view.passed.measured.get(value)
    if seen is not None and seen.grad is not None:
        return seen.grad
    marks = (mark.grad for mark in view.trace.stages if mark.value == value)
    calls = (call.grad for call in view.steps.calls if value in call.outputs)
    return next((grad for grad in (*marks, *calls) if grad is not None), None)
