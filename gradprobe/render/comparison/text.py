"""A comparison as text for a terminal: where the runs part, then stage by stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text as Line

from gradprobe.records.comparison import Comparison, FindingChange, StagePair
from gradprobe.records.report import LOST, GradStats
from gradprobe.render.page import Page
from gradprobe.render.plain import cropped, visible
from gradprobe.render.stage_table import plain_table

_MOST_ROWS = 40
_AROUND = 1  # stages that agree, drawn on either side of one that does not
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
        page.show(Line(f"they part at {_where(found.stage, found.step, found.call)}", "bold"))
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
            ratio = other / one if one and other else None
            verdicts = [verdict or "not there" for verdict in leaf.verdicts]
            table.add_row(
                cropped(leaf.name, 24), *verdicts, _norm(one), _norm(other), _ratio(ratio)
            )
        if compared.leaves:
            page.blank()
            page.show(table)

    def _stages(self, page: Page, compared: Comparison) -> None:
        if not compared.stages:
            return
        table = plain_table()
        for header in ("step", "call", "stage", *(cropped(n, 12) for n in self.names), "ratio", ""):
            table.add_column(header, overflow="crop", no_wrap=True)
        for row in _rows(compared.stages):
            table.add_row(*row[1:], style=row[0])
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


def _where(stage: str | None, step: int | None, call: int | None) -> str:
    parts = [visible(stage) if stage is not None else "the line below"]
    if step is not None:
        parts.append(f"step {step}")
    if call:
        parts.append(f"call {call}")
    return ", ".join(parts)


def _rows(stages: Sequence[StagePair]) -> list[tuple[str, ...]]:
    """The stages at which the runs part, with their neighbours; the others folded."""
    parted = [n for n, pair in enumerate(stages) if pair.parts or not all(pair.there)]
    near = {n + by for n in parted for by in range(-_AROUND, _AROUND + 1)}
    shown = {n for n in near if 0 <= n < len(stages)} | {0, len(stages) - 1}
    if len(shown) > _MOST_ROWS:
        kept = sorted(shown)
        shown = {*kept[: _MOST_ROWS // 2], *kept[-_MOST_ROWS // 2 :]}
    rows: list[tuple[str, ...]] = []
    for drawn, group in groupby(range(len(stages)), lambda n: n in shown):
        numbers = list(group)
        if drawn or len(numbers) == 1:
            rows += [_row(stages[n]) for n in numbers]
            continue
        apart = sum(bool(stages[n].parts) or not all(stages[n].there) for n in numbers)
        alike = f"{apart} of them part" if apart else "alike"
        rows.append(("dim", "", "", f"{len(numbers)} stages, {alike}", "", "", "", ""))
    return rows


def _row(pair: StagePair) -> tuple[str, ...]:
    words = [_state(pair, side) for side in (0, 1)]
    style = "" if not pair.parts else "red" if pair.parts[0] != "value" else "yellow"
    return (
        style,
        "" if pair.step is None else str(pair.step),
        "" if pair.call is None else str(pair.call),
        cropped(pair.name, 24),
        *words,
        _ratio(pair.ratio),
        ", ".join(pair.parts),
    )


def _state(pair: StagePair, side: int) -> str:
    if not pair.there[side]:
        return "not there"
    if pair.connected[side] == "no":
        return "lost"
    grad = pair.grads[side]
    if grad is not None:
        return _sort(grad)
    return {"yes": "live", "unknown": "unknown", None: "-"}[pair.connected[side]]


def _sort(grad: GradStats) -> str:
    if grad.nonfinite:
        return "nan/inf"
    return "zero" if grad.abs_max == 0 else _norm(grad.norm)


def _norm(norm: float | None) -> str:
    return "" if norm is None else f"{norm:.2e}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else "1" if abs(ratio - 1) < 5e-4 else f"{ratio:.3g}"
