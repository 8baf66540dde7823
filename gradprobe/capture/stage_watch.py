"""Stages while the program runs: each tap, and each tensor that a selector's variable was given."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.capture.backward_hooks import watch
from gradprobe.capture.frame_paths import read
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.gradient_stats import Awaited, as_stats
from gradprobe.capture.late_numbers import LateNumbers
from gradprobe.capture.locals_tap import LocalsTap
from gradprobe.capture.memory import Memory
from gradprobe.capture.shift import Shift
from gradprobe.capture.stage_selectors import Clock, Selector
from gradprobe.capture.value_stats import Number, Values, as_number
from gradprobe.records.report import GradStats, Source


@dataclass(slots=True)
class WatchedStage:
    """One stage while it is written.

    `moment` orders stages and beats. `activation` is the call of the function whose variable it is,
    `ticking` the running call, its own or one around it, whose steps a clock counts; -1 is none.
    """

    name: str
    step: int | None
    sigma: Number | None
    value: int
    at_op: int
    place: int
    grad_fn: str | None
    source: Source
    device: str
    is_leaf: bool | None
    version: int | None
    values: Values | None
    moment: int
    selector: Selector | None
    activation: int
    ticking: int
    measured: Awaited | None = None

    def stats(self, arrived: Mapping[int, list[float]]) -> GradStats | None:
        return None if self.measured is None else as_stats(self.measured, arrived)


@dataclass(frozen=True, slots=True)
class Beat:
    """A clock's variable was assigned."""

    clock: Clock
    activation: int
    at_op: int
    moment: int
    number: Number | None  # what `clock.step` led to
    sigma: Number | None


class StageWatch:
    """Keeps the stages, and the beats of clocks between them."""

    def __init__(self, mode: SeeingMode, memory: Memory, numbers: LateNumbers) -> None:
        self.mode = mode
        self.memory = memory
        self.numbers = numbers
        self.journal = mode.journal
        self.stages: list[WatchedStage] = []
        self.beats: list[Beat] = []
        self.first_in: dict[int, str] = {}  # values first met in a variable that a selector names
        self.locals: LocalsTap | None = None
        self.handles: list[tuple[int, Any]] = []  # each with its stage's moment
        self.moment = 0
        self._thread = threading.get_ident()
        # Calls whose first assignment was seen, and when.
        self._begun: dict[tuple[Selector, int], int] = {}

    def tapped(self, name: str, x: object, step: int | None, sigma: object) -> None:
        """`gradprobe.tap` was called, by the caller's caller of this."""
        if not isinstance(x, Tensor) or self.mode.pauses:
            return
        if threading.get_ident() != self._thread:
            return  # the records are of one thread
        with torch_internals.aside():
            stage = self._mark(name, x, self.journal.stack.here(2), step, as_number(sigma))
            if self.locals is not None:
                stage.ticking = self.locals.ticking(sys._getframe(2))

    def assigned(self, selector: Selector, x: object, frame: FrameType, at: int) -> bool:
        """The variable that a selector names was assigned by instruction `at` of `frame`."""
        if not isinstance(x, Tensor) or self.mode.pauses:
            return False
        if selector.keep == "first of call" and self.locals is not None:
            call = (selector, self.locals.current)
            if call in self._begun:
                return True
            self._begun[call] = self.moment
        with torch_internals.aside():
            unknown = id(x) not in self.journal.identity.table
            sigma = (
                None if selector.sigma is None else as_number(read(selector.sigma, frame.f_locals))
            )
            place = self.journal.stack.place_of(frame, at)
            stage = self._mark(selector.name, x, place, None, sigma)
            stage.selector = selector
            stage.source = selector.source
            if self.locals is not None:
                stage.activation = self.locals.current
                stage.ticking = self.locals.ticking(frame)
            if unknown:
                self.first_in[stage.value] = selector.variable
        return True

    def ticked(self, clock: Clock, frame: FrameType) -> None:
        """A clock's variable was assigned in `frame`."""
        if self.mode.pauses or self.locals is None:
            return
        names = frame.f_locals
        self.moment += 1
        self.beats.append(
            Beat(
                clock=clock,
                activation=self.locals.current,
                at_op=len(self.journal.head),
                moment=self.moment,
                number=None if clock.step is None else as_number(read(clock.step, names)),
                sigma=None if clock.sigma is None else as_number(read(clock.sigma, names)),
            )
        )

    def remove(self) -> None:
        for _, handle in self.handles:
            handle.remove()
        self.handles.clear()

    def forget(self, shift: Shift) -> None:
        first, last = shift.first.moment, shift.last.moment
        kept = []
        for moment, handle in self.handles:
            if first < moment <= last:
                handle.remove()
            else:
                kept.append((moment, handle))
        self.handles[:] = kept
        self.stages[:] = [stage for stage in self.stages if not first < stage.moment <= last]
        for stage in self.stages:
            if stage.moment > first:
                stage.at_op = shift.op(stage.at_op)
                stage.value = shift.value(stage.value)
        self.beats[:] = [
            beat if beat.moment <= first else replace(beat, at_op=shift.op(beat.at_op))
            for beat in self.beats
            if not first < beat.moment <= last
        ]
        for value in [v for v in self.first_in if v >= shift.first.value]:
            variable = self.first_in.pop(value)
            if not shift.made(value):
                self.first_in[shift.value(value)] = variable
        going_on = {stage.activation for stage in self.stages if stage.moment > last}
        for call, moment in list(self._begun.items()):
            if first <= moment < last and call[1] not in going_on:
                del self._begun[call]

    def _mark(
        self, name: str, x: Tensor, place: int, step: int | None, sigma: Number | None
    ) -> WatchedStage:
        self.moment += 1
        value = self.memory.meet(x, place).value
        node = torch_internals.history(x)
        stage = WatchedStage(
            name=name,
            step=step,
            sigma=sigma,
            value=value,
            at_op=len(self.journal.head),
            place=place,
            grad_fn=None if node is None else node.name(),
            source="declared",
            device=str(x.device),
            is_leaf=torch_internals.is_leaf(x),
            version=torch_internals.version(x),
            values=self.numbers.values(x),
            moment=self.moment,
            selector=None,
            activation=-1,
            ticking=-1,
        )
        self.stages.append(stage)
        if node is not None:

            def measure(grad: Tensor | None) -> None:
                if grad is not None and not torch_internals.in_transform(grad):
                    stage.measured = self.numbers.gradient(grad)

            self.handles.append((stage.moment, watch(x, node, measure)))
        return stage
