"""A comparison as text for a terminal: where the runs part, then stage by stage."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from rich.text import Text as Line

from gradprobe.records.comparison import Comparison, FindingChange
from gradprobe.records.report import LOST
from gradprobe.render.comparison.rows import Row, norm, ratio, rows, where
from gradprobe.render.page import Page
from gradprobe.render.plain import cropped, visible
from gradprobe.render.stage_table import plain_table

_MOST_ROWS = 40
_STYLE = {"new": "bold red", "gone": "bold green", "same": "dim"}
_SIGN = {"new": "+", "gone": "-", "same": "="}


@dataclass(frozen=True, slots=True)
class ComparisonText:
    """`color` None decides by standard output and NO_COLOR; `width` in cells, at least 40.

    `names` are what the two sides are called. Paths are shown relative to `base` (None: the
    current directory) where that is shorter, and are never broken.
    """

    color: bool | None = False
    width: int = 80
    base: str | None = None
    names: tuple[str, str] = ("good", "bad")

    def render(self, compared: Comparison) -> str:
        """The whole comparison, ending in a line end."""
        color = self.color
        if color is None:
            color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        page = Page(self.width, color, self.base)
        self._verdicts(page, compared)
        if compared.same:
            page.blank()
            page.paragraph("The gradient takes the same ways in both.", indent=0)
        told = None if compared.divergence is None else compared.divergence.finding
        self._divergence(page, compared)
        for number, change in enumerate(compared.findings):
            if change.change != "same" and number != told:
                self._finding(page, change)
        self._leaves(page, compared)
        if not compared.same:
            self._stages(page, compared)
        self._environment(page, compared)
        return page.text

    def _verdicts(self, page: Page, compared: Comparison) -> None:
        names = [cropped(name, page.width // 3) for name in self.names]
        wide = max(map(len, names))
        for name, verdict, headline in zip(
            names, compared.verdicts, compared.headlines, strict=True
        ):
            style = "bold red" if verdict in LOST else "bold"
            told = headline.removeprefix(f"{verdict}: ")
            page.paragraph(f"{verdict}: {told}", style, label=f"{name:<{wide}}", indent=0)

    def _divergence(self, page: Page, compared: Comparison) -> None:
        found = compared.divergence
        if found is None:
            return
        page.blank()
        page.show(Line(f"they part at {where(found.stage, found.step, found.call)}", "bold"))
        if found.at is not None:
            page.place(found.at)
            page.source(found.at, "bold red")
        page.paragraph(found.sentence)
        if found.finding is not None:
            finding = compared.findings[found.finding].finding
            often = f", x{finding.count}" if finding.count > 1 else ""
            title = f"new {finding.severity} {finding.code} {finding.name}{often}"
            page.paragraph(f"{title}: {finding.message}")
            page.paragraph(finding.fix, label="fix:")

    def _finding(self, page: Page, change: FindingChange) -> None:
        finding = change.finding
        allowed = ", allowed" if finding.allowed else ""
        title = f"{_SIGN[change.change]} {finding.code} {finding.name}"
        page.blank()
        page.show(
            Line.assemble(
                (visible(title), _STYLE[change.change]),
                f"  {change.change}, {finding.severity}{allowed}",
            )
        )
        page.place(finding.cause)
        page.paragraph(finding.message)

    def _leaves(self, page: Page, compared: Comparison) -> None:
        table = plain_table()
        names = [cropped(name, 12) for name in self.names]
        for header in ("leaf", *names, *(f"|{name}|" for name in names), "ratio"):
            table.add_column(header, overflow="crop", no_wrap=True)
        for leaf in compared.leaves:
            one, other = leaf.norms
            verdicts = [verdict or "not there" for verdict in leaf.verdicts]
            told = ratio(other / one if one and other else None)
            table.add_row(cropped(leaf.name, 24), *verdicts, norm(one), norm(other), told)
        if compared.leaves:
            page.blank()
            page.show(table)

    def _stages(self, page: Page, compared: Comparison) -> None:
        if not compared.stages:
            return
        table = plain_table()
        for header in ("step", "call", "stage", *(cropped(n, 12) for n in self.names), "ratio", ""):
            table.add_column(header, overflow="crop", no_wrap=True)
        for row in rows(compared.stages, _MOST_ROWS):
            table.add_row(*_cells(row), style=_style(row))
        page.blank()
        title = "stages" if compared.leaf is None else f"stages, for {cropped(compared.leaf, 30)}"
        page.show(Line(title, style="bold"))
        page.show(table)

    def _environment(self, page: Page, compared: Comparison) -> None:
        if not compared.environment:
            return
        page.blank()
        page.show(Line("otherwise", style="bold"))
        for fact in compared.environment:
            page.paragraph(f"{fact.good} -> {fact.bad}", label=fact.what)


def _cells(row: Row) -> tuple[str, ...]:
    pair = row.pair
    if pair is None:
        return "", "", row.told, "", "", "", ""
    return (
        "" if pair.step is None else str(pair.step),
        "" if pair.call is None else str(pair.call),
        cropped(pair.name, 24),
        *row.states,
        ratio(pair.ratio),
        ", ".join(pair.parts),
    )


def _style(row: Row) -> str:
    if row.pair is None:
        return "dim"
    parts = row.pair.parts
    return "" if not parts else "red" if parts[0] != "value" else "yellow"
