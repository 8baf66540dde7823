"""`python -m benchmarks`: plain against a no-op mode against a full trace, in one run."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path

import click
import torch
from rich.console import Console

from benchmarks.arms import ARMS, NUMBER_ARMS, STAGE_ARMS
from benchmarks.interleave import interleave
from benchmarks.memory import record_memory
from benchmarks.results import (
    memory_rows,
    number_rows,
    save,
    show,
    stage_rows,
    tiny_op_rows,
    unet_rows,
)
from benchmarks.workloads import FULL, SMALL, chain_of_tiny_ops, euler_over_unet

LATEST = Path(__file__).parent / "results" / "latest.json"


# A round of tiny ops takes milliseconds, in which a neighbour on the machine weighs heavily: more
# of them make the median steady.
TINY_ROUNDS = 8


@click.command(help=__doc__)
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--threads",
    default=min(2, os.cpu_count() or 1),
    show_default=True,
    type=click.IntRange(min=1),
    help="threads torch may use",
)
@click.option("--device", default="cpu", show_default=True, help="where the tensors are: cuda ...")
@click.option("--width", type=click.IntRange(min=4), help="the UNet's channels; a multiple of 4")
@click.option("--small", is_flag=True, help="a run of a second, to see that it works")
@click.option("--save", "save_to", is_flag=True, help=f"write {LATEST.parent.name}/{LATEST.name}")
def main(
    rounds: int, threads: int, device: str, width: int | None, small: bool, save_to: bool
) -> None:
    size = replace(SMALL if small else FULL, device=device)
    size = size if width is None else replace(size, width=width)
    torch.set_num_threads(threads)
    euler, parameters = euler_over_unet(size)
    long, _ = euler_over_unet(replace(size, steps=size.long_steps))
    tiny = chain_of_tiny_ops(size)
    console = Console(width=None if Console().is_terminal else 80, highlight=False)
    console.print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{device}, {threads} threads, {rounds} interleaved rounds\n"
        f"UNet: {parameters / 1e6:.3g} M parameters, 1x4x{size.side}x{size.side}, "
        f"{size.steps} Euler steps, forward and backward\n"
        f"tiny ops: {size.tiny_ops} over 1x2x2x8x8, forward\n"
        "Medians of differences and ratios within a round. Neither imports nor what the\n"
        "report computes after the run are part of the times.\n",
        soft_wrap=True,
    )
    memory = record_memory(tiny)
    rows = [
        *unet_rows(interleave(euler, ARMS, rounds)),
        *number_rows(interleave(euler, NUMBER_ARMS, rounds)),
        *stage_rows(interleave(long, STAGE_ARMS, rounds), size.long_steps),
        *tiny_op_rows(interleave(tiny, ARMS, rounds * TINY_ROUNDS), size.tiny_ops),
        *memory_rows(memory),
    ]
    show(rows, console)
    if save_to:
        conditions: dict[str, object] = {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "device": device,
            "threads": threads,
            "rounds": rounds,
            "parameters": parameters,
            "ops_recorded": memory.ops,
        }
        save(rows, conditions, LATEST)
        console.print(f"\nwrote {LATEST}", soft_wrap=True)


if __name__ == "__main__":
    main()
