"""Hooks on the nodes of stages for one pass: the gradients that come by, measured or held.

Where turns run alike, gradients are only held, by a hook that runs no Python, and copied when the
pass is over, to be measured when somebody asks: of most turns of a loop nobody does. They are then
what they were if nothing has written their memory meanwhile. Their version counters tell, which one
turn before reads as they come by. (Held gradients have other versions than those that the engine
may reuse: it adds to them no more in place.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor

from gradprobe.capture.gradient_stats import Awaited, as_stats, is_one_piece, statistics
from gradprobe.capture.hook_chain import Held
from gradprobe.capture.module_watch import WatchedCall
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.shelf import Shelf
from gradprobe.capture.shift import Shift
from gradprobe.capture.stage_recall import Sought
from gradprobe.capture.torch_internals import aside, device_of, in_transform, version
from gradprobe.capture.value_stats import on_host
from gradprobe.records.backward import Measured

Gradients = tuple[Tensor | None, ...]


class Way(Enum):
    """What is done with a gradient as it comes by."""

    MEASURE = "measure"
    BOTH = "measure and hold"
    HOLD = "hold"


@dataclass(slots=True)
class Found:
    """A stage in the graph of one pass: `index` is its place among what was sought."""

    index: int
    value: int
    sought: Sought
    call: WatchedCall | None  # that has it as its result, and measures it
    grad_fn: str = ""  # of its node, once that was found
    numbers: Awaited | None = None
    version: int | None = None
    device: str | None = None
    held: Held | None = None
    grad: Tensor | None = None  # that is still to be measured; once the pass is over, its copy


class StageHooks:
    """Measures stages in the passes of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.numbers = recorder.numbers

    def put(self, found: Found, node: Any, way: Way) -> Any:
        """Hook a stage's node; returns the handle."""
        found.grad_fn = node.name()
        held = found.held = Held() if way is not Way.MEASURE else None
        if way is Way.HOLD and held is not None:
            return node.register_prehook(held.append)
        tick = self.recorder.journal.tick

        def given(gradients: Gradients) -> None:
            if tick is not None:
                tick()
            self._measure(found, gradients)
            if held is not None:
                held.append(gradients)

        return node.register_prehook(given)

    def _measure(self, found: Found, gradients: Gradients) -> None:
        grad = _its(found.sought, gradients)
        if grad is not None:
            found.numbers = self.numbers.gradient(grad)
            found.version = version(grad)
            found.device = device_of(grad)

    def over(
        self, every: Sequence[Found], versions: Mapping[int, int] | None, shelf: Shelf
    ) -> bool:
        """The pass is over: take what calls measured, and what was held, copied to `shelf`.

        `versions` are by index those of the turn before, if this one only held gradients. Returns
        whether none was written since it came by; what was has no numbers.
        """
        passes = self.recorder.mode.passes
        unwritten = True
        with aside():
            for found in every:
                call = found.call
                if call is not None and call.measured_in == passes:
                    found.grad_fn, found.device = call.grad_fn or "", call.device
                    found.numbers = call.measured
                elif found.held:
                    unwritten = self._take(found, versions) and unwritten
            waiting = [found for found in every if found.grad is not None]
            if waiting:
                for found, copy in zip(waiting, shelf.put(_grads(waiting)), strict=True):
                    found.grad = copy
        return unwritten

    def _take(self, found: Found, versions: Mapping[int, int] | None) -> bool:
        grad = _its(found.sought, found.held[-1]) if found.held else None
        found.held = None
        if grad is None:
            return True
        now = version(grad)
        if versions is None:  # it was measured too
            return now is not None and now == found.version
        found.version, found.device = now, device_of(grad)
        if now is None or now != versions.get(found.index):
            return False
        if is_one_piece(grad):
            found.grad = grad
        else:
            found.numbers = statistics(grad)
        return True


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
                if found.grad is not None:
                    found.numbers = statistics(found.grad)
                found.grad = None
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


def _grads(every: Sequence[Found]) -> list[Tensor]:
    return [found.grad for found in every if found.grad is not None]


def _its(sought: Sought, gradients: Gradients) -> Tensor | None:
    """A stage's own of its node's gradients, if it can be measured."""
    grad = gradients[sought.position if sought.position < len(gradients) else 0]
    if grad is None or tuple(grad.shape) != sought.shape or in_transform(grad):
        return None
    return grad
