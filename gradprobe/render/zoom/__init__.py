"""The same picture from further away, or a part of it from near by: pictures made of pictures."""

from __future__ import annotations

from dataclasses import replace

from gradprobe.records.report import Report
from gradprobe.render.zoom.focus import focused
from gradprobe.render.zoom.grain import DEPTHS, Drawn, at_depth

__all__ = ["DEPTHS", "Drawn", "zoomed"]


def zoomed(report: Report, depth: Drawn, focus: str | None) -> Report:
    """The report with its picture as it is asked for.

    Raises `UsageError` for what the picture cannot show.
    """
    drawn = replace(report, picture=at_depth(report.picture, depth, report.findings))
    return drawn if focus is None else focused(drawn, focus)
