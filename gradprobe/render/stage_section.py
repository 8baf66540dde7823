"""The part of the text that tells of stages: the strip, the table, the denoiser's calls."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text as Line

from gradprobe.records.report import Leaf, Report
from gradprobe.render.call_rows import all_live, call_rows
from gradprobe.render.page import Page
from gradprobe.render.plain import cropped
from gradprobe.render.stage_table import OTHER, STYLE, plain_table, stage_table
from gradprobe.render.states import States, in_order, on_the_way
from gradprobe.render.strip import CUT, strip
from gradprobe.render.strip_lines import lines

_STYLE = {**STYLE, CUT: "bold red"}
_LEAVES = 3
_MOST_CALLS = 24
_WIDE = 60  # cells of a page that has room for the calls' noise levels
_INDENT = 2
_HANGING = 2


def show_stages(page: Page, report: Report) -> None:
    """Nothing without records; the denoiser's calls only where gradient missed one of them."""
    if not report.stages:
        return
    leaves = report.leaves[:_LEAVES]
    start = ", ".join(cropped(leaf.name, 24) for leaf in leaves) or "the first stage"
    end = "the last" if report.root is None else cropped(report.root.name, 24)
    page.blank()
    page.show(Line(f"stages from {start} to {end}", style="bold"))
    _strip(page, report)
    way = on_the_way(report.stages, [leaf.name for leaf in report.leaves])
    states, brief = States.told_by(report), report.verdict == "flows"
    page.show(stage_table(in_order(way), leaves, states, page.width, brief=brief))
    if len(way) < len(report.stages):
        rest = len(report.stages) - len(way)
        page.paragraph(f"{rest} more records, of values that feed no root", "dim", indent=0)
    if not all_live(report.calls):
        page.blank()
        page.show(Line("denoiser calls: where gradient came in, and went out", style="bold"))
        page.show(_calls(report, leaves, page.width))


def _strip(page: Page, report: Report) -> None:
    told = lines(strip(report), page.width - _INDENT, _HANGING)
    for number, words in enumerate(told):
        line = Line(" " * (_INDENT + (_HANGING if number else 0)))
        for word in words:
            line.append(word.shown, style=_STYLE.get(word.state, OTHER))
            line.append(" ")
        page.unbroken(line)
    if told:
        page.blank()


def _calls(report: Report, leaves: Sequence[Leaf], width: int) -> Table:
    shown = call_rows(report.calls, leaves, _MOST_CALLS)
    sigmas = any(row.sigma for row in shown) and width >= _WIDE
    table = plain_table()
    for header in ("step", "call", *(["sigma"] if sigmas else []), "denoiser"):
        table.add_column(header, overflow="crop", no_wrap=True)
    table.add_column("gradient", overflow="fold")
    for row in shown:
        gradient = Line(row.gradient, style="red" if row.dead else "green")
        cells = [row.step, row.call, *([row.sigma] if sigmas else [])]
        table.add_row(*cells, Line(row.name), gradient, style="dim" if row.fold else "")
    return table
