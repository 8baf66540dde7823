"""`python -m benchmarks.watching`: an optimisation of 500 iterations, alone and watched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks.results import Row, show
from benchmarks.turns import Turns, middle, take_turns
from benchmarks.workloads import FULL, SMALL, Size

ITERATIONS = 500
PAIRS = 3  # where memory lies differs from process to process, and moves one pair by a percent


@click.command(help=__doc__)
@click.option("--iterations", default=ITERATIONS, show_default=True, type=click.IntRange(min=1))
@click.option("--pairs", default=PAIRS, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--side", default=FULL.side, show_default=True, help="latents' height and width")
@click.option("--steps", default=FULL.steps, show_default=True, help="sampling steps an iteration")
@click.option("--small", is_flag=True, help="a run of seconds, to see that it works")
def main(iterations: int, pairs: int, threads: int, side: int, steps: int, small: bool) -> None:
    size = SMALL if small else replace(FULL, side=side, steps=steps)
    iterations, pairs = (10, 1) if small else (iterations, pairs)
    console = Console(width=None if Console().is_terminal else 80, highlight=False)
    console.print(
        f"benchmark UNet, {size.steps} steps of {size.side}x{size.side}, {iterations} iterations, "
        f"{pairs} {'pair' if pairs == 1 else 'pairs'} of processes"
    )
    show(rows(_measured(size, iterations, pairs, threads)), console)


def _measured(size: Size, iterations: int, pairs: int, threads: int) -> list[Turns]:
    """Of each pair; with a bar of how far it is on a terminal."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("iterations", total=pairs * iterations)
        return [
            take_turns(size, iterations, threads, lambda: bar.advance(task)) for _ in range(pairs)
        ]


def rows(pairs: Sequence[Turns]) -> list[Row]:
    """What watching cost, and what its records took."""
    plain = [seconds for turns in pairs for seconds in turns.plain]
    watched = [seconds for turns in pairs for seconds in turns.watched]
    early = max(turns.record_bytes[len(turns.record_bytes) // 5] for turns in pairs)
    late = max(turns.record_bytes[-1] for turns in pairs)
    return [
        Row("an iteration, plain, median", 1e3 * median(plain), "ms"),
        Row("an iteration, watched, median", 1e3 * median(watched), "ms"),
        Row("all iterations, watched, of plain", sum(watched) / sum(plain), "x", target=1.02),
        *(Row(f"  of pair {n}", turns.ratio, "x") for n, turns in enumerate(pairs, 1)),
        Row("an iteration, watched, of its twin, median", middle(pairs), "x"),
        Row("records after a fifth of them", early / 1e3, "kB"),
        Row("records at the end", late / 1e3, "kB"),
    ]


if __name__ == "__main__":
    main()
