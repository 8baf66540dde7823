"""`python -m benchmarks.watching`: an optimisation of 500 iterations, alone and watched.

The benchmark UNet at its full width, over few steps of small latents: the network's share of the
time is the least that an optimisation has, and what watching adds weighs most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import click
import torch
from rich.console import Console

from benchmarks.arms import PLAIN, WATCH, WATCH_ARMS
from benchmarks.interleave import interleave
from benchmarks.results import Row, show
from benchmarks.workloads import FULL, SMALL, euler_over_unet
from gradprobe import Probe

ITERATIONS = 500


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--iterations", default=ITERATIONS, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--side", default=32, show_default=True, help="height and width of the latents")
@click.option("--small", is_flag=True, help="a run of a second, to see that it works")
def main(rounds: int, iterations: int, threads: int, side: int, small: bool) -> None:
    torch.set_num_threads(threads)
    size = SMALL if small else replace(FULL, side=side, steps=2)
    iterations = 5 if small else iterations
    once, _ = euler_over_unet(size)

    def loop() -> None:
        for _ in range(iterations):
            once()

    timings = interleave(loop, WATCH_ARMS, rounds)
    early, late = (record_bytes(once, count) for count in (iterations // 5, iterations))
    rows = [
        Row(f"UNet, {iterations} iterations, plain, median", timings.middle(PLAIN), "s"),
        Row("watched, of plain", timings.ratio(WATCH, PLAIN), "x", target=1.02),
        Row(
            "watched, of plain, fastest rounds",
            timings.fastest(WATCH) / timings.fastest(PLAIN),
            "x",
        ),
        Row("records after a fifth of them", early / 1e3, "kB"),
        Row("records at the end", late / 1e3, "kB"),
    ]
    show(rows, Console(width=None if Console().is_terminal else 80, highlight=False))


def record_bytes(once: Callable[[], object], iterations: int) -> int:
    """Bytes of records after so many iterations."""
    with Probe(watch=True) as probe:
        for _ in range(iterations):
            once()
    return probe.report().cost.record_bytes


if __name__ == "__main__":
    main()
