"""Two processes that take turns, iteration by iteration: a loop alone, and the same loop watched.

A loop of minutes cannot be timed round against round, as the machine is another one by then. Here
each iteration has its twin beside it, and the two keep their own state and their own caches. Two
processes that run the same differ by up to two percent all the same, by where their memory lies:
so half-way they change places.
"""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter

import torch

from benchmarks.workloads import Size, euler_over_unet
from gradprobe import Probe

_WARM = 3  # iterations before the first one counts, of the plain loop and of the other


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of each iteration, plain and watched; bytes of records after it.

    And the pages that each was given by the system, which take some time of their own: how many
    they are is a matter of where a process's memory lies. Of the first half, then of the second, in
    which the processes have changed places.
    """

    plain: tuple[float, ...]
    watched: tuple[float, ...]
    record_bytes: tuple[int, ...]
    plain_pages: tuple[int, ...]
    watched_pages: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Of all iterations together, the first ones too, where watching learns the loop."""
        return sum(self.watched) / sum(self.plain)

    @property
    def middle(self) -> float:
        """The median over the iterations of each one's time to its twin's."""
        return median(w / p for w, p in zip(self.watched, self.plain, strict=True))

    @property
    def halves(self) -> tuple[Turns, Turns]:
        """What either half says for itself."""
        n = len(self.plain) // 2
        columns = [getattr(self, field.name) for field in fields(self)]
        return Turns(*(c[:n] for c in columns)), Turns(*(c[n:] for c in columns))


def take_turns(size: Size, iterations: int, threads: int, told: Callable[[], None]) -> Turns:
    """Run so many iterations of each, twice; `told` is called after each pair."""
    context = mp.get_context("spawn")
    ends: list[Connection] = []
    processes = []
    for watches_first in (False, True):
        ours, theirs = context.Pipe()
        asked = (theirs, size, threads, watches_first)
        process = context.Process(target=_serve, args=asked, daemon=True)
        process.start()
        ends.append(ours)
        processes.append(process)
    seconds: tuple[list[float], list[float]] = ([], [])
    pages: tuple[list[int], list[int]] = ([], [])
    bytes_after: list[int] = []
    for half in (ends, ends[::-1]):  # the plain one is first
        for ready in half:
            ready.recv()
        for number in range(iterations):
            for arm in (0, 1) if number % 2 else (1, 0):  # each goes first as often
                half[arm].send(True)
                taken, given, held = half[arm].recv()
                seconds[arm].append(taken)
                pages[arm].append(given)
                if arm:
                    bytes_after.append(held)
            told()
        for end in half:
            end.send(False)
    for process in processes:
        process.join()
    return Turns(
        tuple(seconds[0]), tuple(seconds[1]), tuple(bytes_after), tuple(pages[0]), tuple(pages[1])
    )


def _serve(end: Connection, size: Size, threads: int, watches_first: bool) -> None:
    """Run one iteration whenever asked; answer its seconds, its pages, and the bytes of records."""
    torch.set_num_threads(threads)
    once, _ = euler_over_unet(size)
    for watches in (watches_first, not watches_first):
        for _ in range(_WARM):
            once()
        probe = Probe(watch=True) if watches else None
        with probe if probe is not None else nullcontext():
            end.send(None)
            while end.recv():
                pages = _pages()
                began = perf_counter()
                once()
                taken = perf_counter() - began
                held = 0 if probe is None else probe._recorder.record_bytes
                end.send((taken, _pages() - pages, held))


def _pages() -> int:
    """How many pages of memory this process was given so far."""
    return getrusage(RUSAGE_SELF).ru_minflt
