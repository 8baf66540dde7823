"""From the beats of clocks to steps: which there are, and in which of them a stage was assigned."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradprobe.capture.stage_selectors import Clock
from gradprobe.capture.stage_watch import Beat, WatchedStage
from gradprobe.capture.value_stats import Number
from gradprobe.records.sampling import Tick


def number_of(number: Number | None, on_host: Mapping[int, list[float]]) -> float | None:
    """A noise level on the host."""
    if number is None or isinstance(number, float):
        return number
    return on_host[id(number)][0]


@dataclass(slots=True)
class _Run:
    """One run of a sampler through its levels, while its steps are counted."""

    count: int = 0
    levels: list[float] = field(default_factory=list)  # the first, the second, the last
    passed: int = 0  # backward passes before its last step

    def next(self, level: float | None, passed: int) -> int:
        """The number of a step at `level`; 0 where another run begins.

        That is where the first level comes again, or where after a backward pass the levels do not
        go on as they went.
        """
        if level is not None and self.levels:
            first, second, last = self.levels[0], self.levels[1:2], self.levels[-1]
            again = level == first != last
            ahead = (second[0] if second else level) - first
            turned = (level - last) * ahead <= 0
            if again or (passed > self.passed and turned):
                self.count, self.levels = 0, []
        if level is not None:
            self.levels = [*self.levels[:2], level]
        self.passed = passed
        self.count += 1
        return self.count - 1


class Steps:
    """The steps that the clocks saw."""

    def __init__(
        self,
        beats: Sequence[Beat],
        on_host: Mapping[int, list[float]],
        passes: Sequence[int] = (),
    ) -> None:
        """`passes` are the ops before which backward passes ran."""
        self._on_host = on_host
        self._passes = passes
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
        if stage.source == "declared":
            return None  # it may be named after the step ended: where its value was made says more
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
        runs: dict[str, _Run] = {}
        moments, ticks = self._ends
        for sampler, step in steps:
            sigmas = (number_of(beat.sigma, self._on_host) for beat in step)
            sigma = next((s for s in sigmas if s is not None), None)
            passed = bisect_right(self._passes, step[0].at_op)
            count = runs.setdefault(sampler, _Run()).next(sigma, passed)
            tick = self._tick(begun, count, sigma)
            begun = step[-1].at_op
            moments.append(step[-1].moment)
            ticks.append(tick)
            self._ended.update((beat.activation, tick) for beat in step)

    def _tick(self, at_op: int, step: int, sigma: float | None) -> int:
        self._ticks.append(Tick(at_op, step, sigma))
        return len(self._ticks) - 1
