"""Timing several arms in turn, so that a busy minute of the machine falls on all of them alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from benchmarks.arms import Arm


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each arm, one a round, in the order of the rounds."""

    seconds: Mapping[str, tuple[float, ...]]

    def fastest(self, arm: str) -> float:
        """The fastest round: what else the machine did only ever adds time."""
        return min(self.seconds[arm])

    def middle(self, arm: str) -> float:
        """The median round."""
        return median(self.seconds[arm])

    def ratio(self, arm: str, to: str) -> float:
        """The median over the rounds of this arm's time to that of `to` in the same round."""
        pairs = zip(self.seconds[arm], self.seconds[to], strict=True)
        return median(mine / other for mine, other in pairs)

    def extra(self, arm: str, to: str) -> float:
        """The median over the rounds of the seconds that `arm` took more than `to`."""
        pairs = zip(self.seconds[arm], self.seconds[to], strict=True)
        return median(mine - other for mine, other in pairs)


def interleave(work: Callable[[], object], arms: Mapping[str, Arm], rounds: int) -> Timings:
    """Run `work` under each arm once a round, starting with another arm every round.

    One untimed round goes first. Entering and leaving the arm's context is timed with the work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for turn in range(-1, rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            began = perf_counter()
            with arms[name]():
                work()
            if turn >= 0:
                seconds[name].append(perf_counter() - began)
    return Timings({name: tuple(taken) for name, taken in seconds.items()})
