"""From the beats of clocks to steps: which there are, and in which of them a stage was assigned."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from gradprobe.capture.stage_selectors import Clock
from gradprobe.capture.stage_watch import Beat, WatchedStage
from gradprobe.capture.value_stats import Number
from gradprobe.records.sampling import Tick


def number_of(number: Number | None, on_host: Mapping[int, list[float]]) -> float | None:
    """A noise level on the host."""
    if number is None or isinstance(number, float):
        return number
    return on_host[id(number)][0]


class Steps:
    """The steps that the clocks saw."""

    def __init__(self, beats: Sequence[Beat], on_host: Mapping[int, list[float]]) -> None:
        self._on_host = on_host
        self._ticks: list[Tick] = []
        # Of clocks whose steps begin: moment and tick, by activation.
        self._begun: dict[int, tuple[list[int], list[int]]] = {}
        # Of clocks whose steps end: the moments of ends and their ticks; the tick by activation.
        self._ends: tuple[list[int], list[int]] = ([], [])
        self._ended: dict[int, int] = {}
        self._begin([beat for beat in beats if not beat.clock.ends])
        self._end([beat for beat in beats if beat.clock.ends])

    def ticks(self) -> tuple[Tick, ...]:
        return tuple(sorted(self._ticks, key=lambda tick: tick.at_op))

    def of(self, stage: WatchedStage) -> int | None:
        """The tick, by its number, in whose step a stage was assigned."""
        if stage.ticking in self._begun:
            moments, ticks = self._begun[stage.ticking]
            position = bisect_right(moments, stage.moment) - 1
            return ticks[position] if position >= 0 else None
        if stage.activation in self._ended:
            return self._ended[stage.activation]
        moments, ticks = self._ends
        position = bisect_left(moments, stage.moment)
        return ticks[position] if position < len(moments) else None

    def __getitem__(self, tick: int) -> Tick:
        return self._ticks[tick]

    def _begin(self, beats: Sequence[Beat]) -> None:
        counts: dict[tuple[Clock, int], int] = {}
        last: dict[Clock, tuple[int, int, int]] = {}  # number, activation if counted, tick
        for beat in beats:
            clock, counted = beat.clock, beat.activation
            if clock.step is None:
                given = counts.get((clock, counted), 0)
                counts[clock, counted] = given + 1
            else:
                number = number_of(beat.number, self._on_host)
                if number is None or number != number:
                    continue
                given, counted = int(number), -1
            step = given // clock.per
            before = last.get(clock)
            if before is not None and before[:2] == (step, counted):
                tick = before[2]
            else:
                tick = self._tick(beat.at_op, step, number_of(beat.sigma, self._on_host))
                last[clock] = (step, counted, tick)
            moments, ticks = self._begun.setdefault(beat.activation, ([], []))
            moments.append(beat.moment)
            ticks.append(tick)

    def _end(self, beats: Sequence[Beat]) -> None:
        """One step after the other, whichever clock ends it: PNDM's warm-up has one of its own."""
        steps: list[tuple[str, list[Beat]]] = []
        calls: dict[Clock, list[int]] = {}
        shared: object = None
        for beat in beats:
            clock = beat.clock
            known = calls.setdefault(clock, [])
            if not known or known[-1] != beat.activation:
                known.append(beat.activation)
            number = number_of(beat.number, self._on_host)
            key: object = (len(known) - 1) // clock.per
            if clock.step is not None:
                # A sigma is told from the next one as it is: all of them may be below 1.
                if number is None or number != number:
                    key = ("call", beat.activation)
                else:
                    key = number if clock.per == 1 else number // clock.per
            sampler = f"{clock.place}:{clock.function.rpartition('.')[0] or clock.function}"
            if (sampler, key) != shared:
                shared = (sampler, key)
                steps.append((sampler, []))
            steps[-1][1].append(beat)
        begun = 0
        counts: dict[str, int] = {}
        moments, ticks = self._ends
        for sampler, step in steps:
            count = counts.get(sampler, 0)
            counts[sampler] = count + 1
            sigmas = (number_of(beat.sigma, self._on_host) for beat in step)
            tick = self._tick(begun, count, next((s for s in sigmas if s is not None), None))
            begun = step[-1].at_op
            moments.append(step[-1].moment)
            ticks.append(tick)
            self._ended.update((beat.activation, tick) for beat in step)

    def _tick(self, at_op: int, step: int, sigma: float | None) -> int:
        self._ticks.append(Tick(at_op, step, sigma))
        return len(self._ticks) - 1
