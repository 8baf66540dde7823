"""Hooks on the nodes of stages for one pass: the gradients that come by, measured or copied.

Where turns run alike, small gradients are only copied, and measured when somebody asks: of most
turns of a loop nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradprobe.capture.gradient_stats import Awaited, as_stats, statistics
from gradprobe.capture.module_watch import WatchedCall
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.shelf import Shelf
from gradprobe.capture.shift import Shift
from gradprobe.capture.stage_recall import Sought
from gradprobe.capture.torch_internals import aside, device_of, in_transform
from gradprobe.capture.value_stats import on_host
from gradprobe.records.backward import Measured

Gradients = tuple[Tensor | None, ...]


@dataclass(slots=True)
class Found:
    """A stage in the graph of one pass: `index` is its place among what was sought."""

    index: int
    value: int
    sought: Sought
    call: WatchedCall | None  # that has it as its result, and measures it
    grad_fn: str = ""  # of its node, once that was found
    numbers: Awaited | None = None
    device: str | None = None
    copy: Tensor | None = None  # of its gradient, which is still to be measured


class StageHooks:
    """Measures stages in the passes of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.numbers = recorder.numbers

    def put(self, found: Found, node: Any, shelf: Shelf | None) -> Any:
        """Hook a stage's node; returns the handle. With a shelf its gradient is copied there."""
        found.grad_fn = node.name()
        tick = self.recorder.journal.tick

        def given(gradients: Gradients) -> None:
            if tick is not None:
                tick()
            try:
                self._take(found, gradients, shelf)
            except Exception as fault:
                # A fault of ours may cost the stage, never the program.
                self.recorder.say(f"a stage was not measured: {fault!r}")

        return node.register_prehook(given)

    def _take(self, found: Found, gradients: Gradients, shelf: Shelf | None) -> None:
        grad = _its(found.sought, gradients)
        if grad is not None:
            found.device = device_of(grad)
            found.copy = None if shelf is None else shelf.copy(found.index, grad)
            if found.copy is None:
                found.numbers = self.numbers.gradient(grad)

    def over(self, every: Sequence[Found]) -> None:
        """The pass is over: take what calls measured."""
        passes = self.recorder.mode.passes
        for found in every:
            call = found.call
            if call is not None and call.measured_in == passes:
                found.grad_fn, found.device = call.grad_fn or "", call.device
                found.numbers = call.measured


class StagesSeen:
    """What was seen of the stages in one pass, by value; measured when it is asked for."""

    def __init__(self, every: Sequence[Found]) -> None:
        self._every = every
        self._measured: dict[int, Measured] | None = None

    def forget(self, shift: Shift) -> None:
        """Values have other numbers now."""
        for found in self._every:
            found.value = shift.value(found.value)
        if self._measured is not None:
            self._measured = {shift.value(v): seen for v, seen in self._measured.items()}

    def measured(self) -> dict[int, Measured]:
        """On the host."""
        if self._measured is None:
            self._measured = self._measure()
            self._every = ()
        return self._measured

    def _measure(self) -> dict[int, Measured]:
        with aside():
            for found in self._every:
                if found.copy is not None:
                    found.numbers = statistics(found.copy)
                found.copy = None
        arrived = on_host(f.numbers for f in self._every if isinstance(f.numbers, Tensor))
        return {
            f.value: Measured(
                f.grad_fn,
                None if f.numbers is None else as_stats(f.numbers, arrived),
                f.device,
                f.sought.key,
            )
            for f in self._every
            if f.grad_fn
        }


def _its(sought: Sought, gradients: Gradients) -> Tensor | None:
    """A stage's own of its node's gradients, if it can be measured."""
    grad = gradients[sought.position if sought.position < len(gradients) else 0]
    if grad is None or tuple(grad.shape) != sought.shape or in_transform(grad):
        return None
    return grad
