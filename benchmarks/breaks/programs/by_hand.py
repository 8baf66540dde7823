"""Loops written by hand: the scripts in `loops/`, whose own text is what breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.breaks.programs import Program

LOOPS = Path(__file__).parent / "loops"


def programs() -> Iterator[Program]:
    for path in sorted(LOOPS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        descent = "losses = []" in text
        yield Program(f"by_hand/{path.stem}", "by_hand", text, descent=descent)
