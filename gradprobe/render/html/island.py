"""What the page's script knows of the report: JSON, in an element that is never run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gradprobe.records.outline import Block, Line, Outline
from gradprobe.records.picture import Box, Picture
from gradprobe.records.report import Finding, Report
from gradprobe.records.source import Frame
from gradprobe.render.html.drawing import Level
from gradprobe.render.html.frames import Frames
from gradprobe.render.html.markup import spans, words
from gradprobe.render.html.palette import MARKS
from gradprobe.render.html.records import records
from gradprobe.render.html.series import charts

# In an HTML element these could end it, or begin a comment; in a script two are line ends.
_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_MOST_FINDINGS = 100


def island(report: Report, levels: Sequence[Level], base: str | None) -> str:
    """JSON text that is safe inside of `<script type="application/json">`."""
    frames = Frames(base)
    data: dict[str, Any] = {
        "marks": {state: list(told) for state, told in MARKS.items()},
        "levels": [_level(level.picture, frames) for level in levels],
        "findings": [_finding(one, frames) for one in report.findings[:_MOST_FINDINGS]],
        "outline": _outline(report.outline, frames),
        "charts": charts(report),
        "records": records(report, frames),
    }
    data |= frames.told()
    return escaped(data)


def escaped(data: object) -> str:
    """`data` as JSON in which no character means anything to HTML."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPED)


def _level(picture: Picture, frames: Frames) -> dict[str, Any]:
    numbers = {box.key: number for number, box in enumerate(picture.boxes)}
    found = [
        [numbers[a.tail], numbers[a.head], a.state, a.finding]
        for a in picture.arrows
        if a.finding is not None and a.tail in numbers and a.head in numbers
    ]
    return {"boxes": [_box(box, frames) for box in picture.boxes], "arrows": found}


def _box(box: Box, frames: Frames) -> dict[str, Any]:
    norm = None if box.norm is None else f"{box.norm:.3g}"
    return {
        "label": words(box.label),
        "detail": words(box.detail),
        "kind": box.kind,
        "state": box.state,
        "at": frames.number(box.at),
        "step": box.step,
        "last": box.last_step,
        "finding": box.finding,
        "norm": norm,
    }


def _finding(finding: Finding, frames: Frames) -> dict[str, Any]:
    return {
        "title": words(f"{finding.code} {finding.name}"),
        "message": words(finding.message),
        "fix": words(finding.fix),
        "at": frames.number(finding.at),
        "cause": frames.number(finding.cause),
        "step": finding.step,
    }


def _outline(outline: Outline, frames: Frames) -> dict[str, Any]:
    return {
        "blocks": [_block(block, outline, frames) for block in outline.blocks],
        "bodies": [list(body) for body in outline.bodies],
        "parts": [[p.step, p.ops, p.state, p.saved_bytes, p.body] for p in outline.parts],
        "left_out": outline.left_out,
    }


def _block(block: Block, outline: Outline, frames: Frames) -> list[Any]:
    known = 0 <= block.file < len(outline.files)
    file = outline.files[block.file] if known else ""
    lines = [_line(line, block, file, frames) for line in block.lines]
    return [words(block.function, 200), frames.file(file) if known else None, lines]


def _line(line: Line, block: Block, file: str, frames: Frames) -> list[Any]:
    frame = Frame(file, line.line, line.line, line.col, line.end_col, block.function, line.source)
    return [words(line.op, 80), line.count, line.state, line.line, *spans(frame)]
