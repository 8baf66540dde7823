"""The part of the text that tells of stages: the strip, the table, the denoiser's calls."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text as Line

from gradprobe.records.report import Leaf, Report
from gradprobe.render.call_rows import all_live, call_rows
from gradprobe.render.page import Page
from gradprobe.render.plain import cropped
from gradprobe.render.stage_rows import Row, rows
from gradprobe.render.states import APART, LIVE, LOST, MISSED, States, in_order
from gradprobe.render.strip import CUT, strip
from gradprobe.render.strip_lines import lines

_STYLE = {LIVE: "green", LOST: "red", MISSED: "red", CUT: "bold red", APART: "dim"}
_OTHER = "yellow"
_LEAVES = 3
_MOST_ROWS = 40
_MOST_CALLS = 24
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
    page.show(_table(report, leaves))
    if not all_live(report.calls):
        page.blank()
        page.show(Line("denoiser calls: where gradient came in, and went out", style="bold"))
        page.show(_calls(report, leaves))


def _strip(page: Page, report: Report) -> None:
    told = lines(strip(report), page.width - _INDENT, _HANGING)
    for number, words in enumerate(told):
        line = Line(" " * (_INDENT + (_HANGING if number else 0)))
        for word in words:
            line.append(word.shown, style=_STYLE.get(word.state, _OTHER))
            line.append(" ")
        page.unbroken(line)
    if told:
        page.blank()


def _table(report: Report, leaves: Sequence[Leaf]) -> Table:
    brief = report.verdict == "flows"
    shown = rows(in_order(report.stages), leaves, _MOST_ROWS, States.told_by(report), brief=brief)
    several = any(stage.call for stage in report.stages)  # the first of each step alone says little
    sigmas = any(row.sigma for row in shown)
    table = _plain_table()
    _column(table, "step")
    if several:
        _column(table, "call")
    if sigmas:
        _column(table, "sigma")
    for header in ("stage", *(cropped(leaf.name, 12) for leaf in leaves), "tensor"):
        _column(table, header)
    table.add_column("grad_fn", overflow="crop")  # what gives way is its name
    _column(table, "|grad|")
    for row in shown:
        cells = [row.step, *([row.call] if several else []), *([row.sigma] if sigmas else [])]
        table.add_row(
            *cells,
            Line(row.name),
            *_states(row, len(leaves)),
            Line(row.tensor),
            Line(row.grad_fn),
            row.norm,
            style="dim" if row.fold else "",
        )
    return table


def _states(row: Row, count: int) -> list[Line]:
    states = [Line(state, style=_STYLE.get(state, _OTHER)) for state in row.states]
    return states + [Line("")] * (count - len(states))


def _calls(report: Report, leaves: Sequence[Leaf]) -> Table:
    shown = call_rows(report.calls, leaves, _MOST_CALLS)
    sigmas = any(row.sigma for row in shown)
    table = _plain_table()
    for header in ("step", "call", *(["sigma"] if sigmas else []), "denoiser"):
        _column(table, header)
    table.add_column("gradient", overflow="crop")
    for row in shown:
        gradient = Line(row.gradient, style="red" if row.dead else "green")
        cells = [row.step, row.call, *([row.sigma] if sigmas else [])]
        table.add_row(*cells, Line(row.name), gradient, style="dim" if row.fold else "")
    return table


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _column(table: Table, header: str) -> None:
    table.add_column(header, overflow="crop", no_wrap=True)
