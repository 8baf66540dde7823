"""`python -m benchmarks.anomaly`: which line torch's anomaly mode names, and which gradprobe does.

Each program under tests/cases/anomaly goes wrong in backward (one only seems to). Its guilty line
is known from plain torch: where Inf or NaN is born, or the write that spoils a saved tensor.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "tests" / "cases" / "anomaly"
PAGE = ROOT / "docs" / "anomaly-mode.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"

_UNDER_ANOMALY_MODE = """
import runpy, sys, torch
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
with torch.autograd.detect_anomaly():
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
_WARNING = "Traceback of forward call that caused the error:"
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+), in ')
_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Named:
    """A line that was named: its file's name and number."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One program: its guilty line (None if it is well), and what either tool named."""

    program: str
    what: str
    truth: Named | None
    anomaly: Named | None
    gradprobe: Named | None

    def cells(self, written: str) -> list[str]:
        """What is printed, `written` marking a right answer."""
        return [
            self.program,
            _shown(self.truth),
            *(_shown(n) + written * (n == self.truth) for n in (self.anomaly, self.gradprobe)),
        ]


def _shown(named: Named | None) -> str:
    return _NOTHING if named is None else f"{named.file}:{named.line}"


def forward_line(stderr: str) -> Named | None:
    """The line that anomaly mode names: of its forward traceback the last frame not torch's own."""
    _, found, after = stderr.partition(_WARNING)
    if not found:
        return None
    named = None
    for line in after.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            break  # of the error that it raises then
        frame = _FRAME.match(line)
        if frame is not None and "/site-packages/torch/" not in frame[1]:
            named = Named(Path(frame[1]).name, int(frame[2]))
    return named


def first_line(report: dict[str, Any]) -> Named | None:
    """The line of a report's first finding, where that is an error or a warning.

    A finding that only repeats where backward was called names nothing.
    """
    for finding in report["findings"]:
        if finding["severity"] != "note":
            at = finding["at"]
            known = finding["code"] != "GP114"
            return Named(Path(at["file"]).name, at["line"]) if known else None
    return None


def compare(program: Path) -> Row:
    """Run one program under each tool, in processes of their own."""
    truth = json.loads(program.with_suffix(".json").read_text(encoding="utf-8"))
    guilty = None if truth["line"] is None else Named(Path(truth["file"]).name, truth["line"])
    plain = _run("-c", _UNDER_ANOMALY_MODE, str(program))
    traced = _run(
        "-m", "gradprobe", "trace", "--no-config", "--format", "json", "--leaf", "z0", str(program)
    )
    return Row(
        program=program.stem.replace("_", " "),
        what=truth["why"],
        truth=guilty,
        anomaly=forward_line(plain.stderr),
        gradprobe=first_line(json.loads(traced.stdout)),
    )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
    )


def programs() -> list[Path]:
    return sorted(path.with_suffix(".py") for path in PROGRAMS.glob("*.json"))


def markdown(rows: Sequence[Row]) -> str:
    """The table of the page."""
    lines = ["| program | guilty line | anomaly mode | gradprobe |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row.cells(" **right**")) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {row.program}: {row.what}" for row in rows)])


@click.command(help=__doc__)
@click.option("--save", is_flag=True, help=f"write the table into {PAGE.relative_to(ROOT)}")
def main(save: bool) -> None:
    rows = [compare(program) for program in programs()]
    table = Table("program", "guilty line", "anomaly mode", "gradprobe", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.cells(" (right)"))
    console = Console(width=None if Console().is_terminal else 140, highlight=False)
    console.print(table)
    for tool in ("anomaly", "gradprobe"):
        right = sum(getattr(row, tool) == row.truth for row in rows)
        console.print(f"{tool}: {right} of {len(rows)} right")
    if save:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        text = "\n".join([before + BEGIN, markdown(rows), END + rest.partition(END)[2]])
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
