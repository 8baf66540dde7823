"""`python -m benchmarks.watching`: an optimisation of 500 iterations, alone and watched."""

from __future__ import annotations

import sys
from dataclasses import replace
from statistics import mean, median

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks.results import Row, show
from benchmarks.turns import Turns, take_turns
from benchmarks.workloads import FULL, SMALL, Size

ITERATIONS = 500


@click.command(help=__doc__)
@click.option("--iterations", default=ITERATIONS, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--side", default=FULL.side, show_default=True, help="latents' height and width")
@click.option("--steps", default=FULL.steps, show_default=True, help="sampling steps an iteration")
@click.option("--small", is_flag=True, help="a run of seconds, to see that it works")
def main(iterations: int, threads: int, side: int, steps: int, small: bool) -> None:
    size = SMALL if small else replace(FULL, side=side, steps=steps)
    iterations = 10 if small else iterations
    console = Console(width=None if Console().is_terminal else 80, highlight=False)
    console.print(
        f"benchmark UNet, {size.steps} steps of {size.side}x{size.side}, "
        f"twice {iterations} iterations"
    )
    show(rows(_measured(size, iterations, threads)), console)


def _measured(size: Size, iterations: int, threads: int) -> Turns:
    """With a bar of how far it is on a terminal."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("iterations", total=2 * iterations)
        return take_turns(size, iterations, threads, lambda: bar.advance(task))


def rows(turns: Turns) -> list[Row]:
    """What watching cost, and what its records took."""
    halves = turns.halves
    early = max(half.record_bytes[len(half.record_bytes) // 5] for half in halves)
    late = max(half.record_bytes[-1] for half in halves)
    return [
        Row("an iteration, plain, median", 1e3 * median(turns.plain), "ms"),
        Row("an iteration, watched, median", 1e3 * median(turns.watched), "ms"),
        Row("all iterations, watched, of plain", turns.ratio, "x", target=1.02),
        Row("  before the processes changed places", halves[0].ratio, "x"),
        Row("  after it", halves[1].ratio, "x"),
        Row("an iteration, watched, of its twin, median", turns.middle, "x"),
        Row("pages given in an iteration, plain, mean", mean(turns.plain_pages), ""),
        Row("pages given in an iteration, watched, mean", mean(turns.watched_pages), ""),
        Row("records after a fifth of them", early / 1e3, "kB"),
        Row("records at the end", late / 1e3, "kB"),
    ]


if __name__ == "__main__":
    main()
