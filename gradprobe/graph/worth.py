"""What the gradient that comes to a value is worth: connected with a zero is not cut."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.graph.view import View
from gradprobe.records.picture import State
from gradprobe.records.report import GradStats


class Gradients:
    """The gradients that were measured in the pass that is looked at, by value."""

    def __init__(self, view: View) -> None:
        self._connected = view.flow.connected
        known: dict[int, GradStats] = {}
        for call in view.steps.calls:
            if call.grad is not None:
                known.update(dict.fromkeys(call.outputs, call.grad))
        for mark in reversed(view.trace.stages):  # the first of a value counts
            if mark.grad is not None:
                known[mark.value] = mark.grad
        for value, seen in view.passed.measured.items() if view.passed is not None else ():
            if seen.grad is not None:
                known[value] = seen.grad
        if view.grad is not None:
            known.update(dict.fromkeys(view.leaf.values, view.grad))
        self._known = known

    def of(self, value: int) -> GradStats | None:
        """Statistics of a value's gradient, where it was measured."""
        return self._known.get(value)

    def state(self, values: Sequence[int]) -> State:
        """Whether gradient passes any of the values, and what it is worth.

        Live where nothing else is known of the gradient of what is connected.
        """
        live = [v for v in values if v in self._connected]
        return self.worth(live) if live else "lost"

    def worth(self, values: Sequence[int]) -> State:
        """What the gradient of connected values is worth."""
        return worth([grad for value in values if (grad := self.of(value)) is not None])

    def norm(self, values: Sequence[int]) -> float | None:
        """The norm of the gradient that comes to the first value of which it is known."""
        return next((grad.norm for v in values if (grad := self.of(v)) is not None), None)


def worth(grads: Sequence[GradStats]) -> State:
    """Not finite where one is, zero where all are, else live."""
    if any(grad.nonfinite for grad in grads):
        return "nonfinite"
    return "zero" if grads and all(grad.abs_max == 0 for grad in grads) else "live"
