"""One benchmark's outcome against its target, and the table and file made of all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.arms import BARE, NO_OP, NODES, PLAIN, PROBE, STAGES
from benchmarks.interleave import Timings
from benchmarks.memory import RecordMemory


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and the target it is held against; `target` is None where it is only told."""

    what: str
    value: float
    unit: str
    target: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the target holds; None where there is none."""
        return None if self.target is None else self.value <= self.target


def unet_rows(timings: Timings) -> list[Row]:
    """Forward and backward over the UNet: how many times a plain run."""
    return [
        Row("UNet, plain, fastest round", timings.fastest(PLAIN), "s"),
        Row("UNet, plain, median round", timings.middle(PLAIN), "s"),
        Row("UNet, no-op mode, of plain", timings.ratio(NO_OP, PLAIN), "x"),
        Row("UNet, gradprobe, of plain", timings.ratio(PROBE, PLAIN), "x", target=1.20),
        Row(
            "UNet, gradprobe, of plain, fastest rounds",
            timings.fastest(PROBE) / timings.fastest(PLAIN),
            "x",
        ),
    ]


def number_rows(timings: Timings) -> list[Row]:
    """Forward and backward over the UNet: what statistics of stages and of all nodes cost."""
    fastest = timings.fastest(STAGES) / timings.fastest(BARE)
    return [
        Row("UNet, stage statistics, of none", timings.ratio(STAGES, BARE), "x", target=1.05),
        Row("UNet, stage statistics, of none, fastest rounds", fastest, "x"),
        Row("UNet, every node, of plain", timings.ratio(NODES, PLAIN), "x", target=2.0),
        Row(
            "UNet, every node, of plain, fastest rounds",
            timings.fastest(NODES) / timings.fastest(PLAIN),
            "x",
        ),
    ]


def stage_rows(timings: Timings, steps: int) -> list[Row]:
    """Forward and backward over the UNet with a hook record of every stage: times a plain run."""
    fastest = timings.fastest(STAGES) / timings.fastest(PLAIN)
    what = f"UNet, {steps} steps, stages, of plain"
    return [
        Row(what, timings.ratio(STAGES, PLAIN), "x", target=1.10),
        Row(f"{what}, fastest rounds", fastest, "x"),
    ]


def tiny_op_rows(timings: Timings, ops: int) -> list[Row]:
    """The chain of tiny ops: microseconds an op that an arm adds to a plain run."""
    micro = 1e6 / ops
    fastest = timings.fastest(PROBE) - timings.fastest(PLAIN)
    return [
        Row("tiny op, plain, median round", timings.middle(PLAIN) * micro, "us"),
        Row("tiny op, no-op mode, extra", timings.extra(NO_OP, PLAIN) * micro, "us"),
        Row("tiny op, gradprobe, extra", timings.extra(PROBE, PLAIN) * micro, "us", target=6.0),
        Row("tiny op, gradprobe, extra, fastest rounds", fastest * micro, "us"),
    ]


def memory_rows(memory: RecordMemory) -> list[Row]:
    """Bytes of records an op."""
    return [
        Row("records, an op, as the report states", memory.stated, "B", target=200.0),
        Row("records, an op, as tracemalloc measures", memory.measured, "B", target=200.0),
    ]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows as an aligned table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    word = {True: "yes", False: "NO", None: ""}
    for row in rows:
        target = "" if row.target is None else f"<= {row.target:g} {row.unit}"
        table.add_row(row.what, f"{row.value:.4g} {row.unit}", target, word[row.holds])
    console.print(table)


def save(rows: Sequence[Row], conditions: dict[str, object], path: Path) -> None:
    """Write the rows and the conditions they were measured under to `path`, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_as_data = [asdict(row) | {"holds": row.holds} for row in rows]
    text = json.dumps({"conditions": conditions, "rows": rows_as_data}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
