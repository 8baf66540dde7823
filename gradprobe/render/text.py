"""The report as text for a terminal: one sentence, then where and why, then what was seen."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Literal

from rich.text import Text as Line

from gradprobe.records.report import (
    WRONG,
    AllowedBy,
    Answer,
    Certainty,
    Finding,
    Leaf,
    Report,
    Severity,
    Verdict,
)
from gradprobe.render.page import Page
from gradprobe.render.pass_lines import pass_lines
from gradprobe.render.plain import cropped, size, tensor, visible
from gradprobe.render.stage_section import show_stages

_VERDICT_STYLE: dict[Verdict, str] = {
    "flows": "bold green",
    "partial": "bold yellow",
    "no-root": "bold yellow",
}
_SEVERITY_STYLE: dict[Severity, str] = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
}
_ANSWER_STYLE = {"yes": "green", "no": "red", "unknown": "yellow"}
_CERTAINTY: dict[Certainty, str] = {"proven": "proven", "suspected": "suspected, not proven"}
_BY: dict[AllowedBy, str] = {
    "comment": "a comment",
    "entry": "an entry",
    "baseline": "the baseline",
}
_MOST_FINDINGS = 10
_MOST_RELATED = 8
_MOST_LEAVES = 12
_MOST_UNSEEN = 20


@dataclass(frozen=True, slots=True)
class Text:
    """`color` None decides by standard output and NO_COLOR; `width` in cells, at least 40.

    Paths are shown relative to `base` (None: the current directory) where that is shorter. A path
    is never broken, so that it stays a link: only such a line may be longer than `width`.
    """

    color: bool | None = False
    width: int = 80
    base: str | None = None

    def render(self, report: Report) -> str:
        """The whole report, ending in a line end."""
        color = self.color
        if color is None:
            color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        page = Page(self.width, color, self.base)
        _headline(page, report)
        notes = [f for f in report.findings if f.severity == "note" or f.allowed]
        loud = [f for f in report.findings if f not in notes]
        for finding in loud[:_MOST_FINDINGS]:
            _finding(page, finding)
        _more(page, len(loud) - _MOST_FINDINGS, "findings")
        if notes:
            page.blank()
        for finding in notes[:_MOST_FINDINGS]:
            _note(page, finding)
        _more(page, len(notes) - _MOST_FINDINGS, "notes")
        _leaves(page, report)
        _passes(page, report)
        show_stages(page, report)
        _unseen(page, report)
        _footer(page, report)
        return page.text


def _headline(page: Page, report: Report) -> None:
    style = _VERDICT_STYLE.get(report.verdict, "bold red")
    worst = report.worst()
    if report.verdict == "flows" and worst not in (None, "note"):
        style = _SEVERITY_STYLE[worst]
    line = Line(visible(report.headline), style="bold")
    if not line.highlight_regex(rf"(?i)\b{re.escape(report.verdict)}\b", style):
        line = Line.assemble((report.verdict, style), ": ", line)
    page.show(line)


def _more(page: Page, count: int, what: str) -> None:
    if count > 0:
        page.blank()
        page.paragraph(f"{count} more {what}; the JSON report has them all.", indent=0)


def _finding(page: Page, finding: Finding) -> None:
    style = _SEVERITY_STYLE[finding.severity]
    page.blank()
    title = Line.assemble(
        (f"{visible(finding.code)} {visible(finding.name)}", style),
        f"  {finding.severity}, {_CERTAINTY[finding.certainty]}",
    )
    if finding.verified is not None:
        title.append(", and with this line healed the gradient ")
        title.append("came back" if finding.verified else "stayed lost")
    page.show(title)
    page.paragraph(_when(finding), "dim")
    cause = finding.opened_by
    if cause is not None and cause != finding.at:
        page.place(cause, "saved at -->" if finding.code in WRONG else "cause -->")
        page.source(cause, style)
    word = "written at -->" if finding.code in WRONG else "lost at -->"
    page.place(finding.at, "-->" if cause in (None, finding.at) else word)
    page.source(finding.at, style)
    page.paragraph(finding.message)
    for related in finding.related[:_MOST_RELATED]:
        page.place(related.at, f"{cropped(related.word, 24)}:", quote=True)
    if len(finding.related) > _MOST_RELATED:
        page.paragraph(f"and {len(finding.related) - _MOST_RELATED} more places")
    page.paragraph(finding.fix, label="fix:")


def _when(finding: Finding) -> str:
    parts = [f"leaf {cropped(finding.leaf, 40)}"]
    if finding.stage is not None:
        parts.append(f"stage {cropped(finding.stage, 40)}")
    if finding.count > 1:
        first = "" if finding.step is None else f", first at step {finding.step}"
        parts.append(f"x{finding.count}{first}")
    elif finding.step is not None:
        parts.append(f"step {finding.step}")
    return ", ".join(parts)


def _note(page: Page, finding: Finding) -> None:
    title = Line(f"note {visible(finding.code)} {visible(finding.name)}", _SEVERITY_STYLE["note"])
    if finding.allowed:
        title.append(f"  {finding.severity}, {_CERTAINTY[finding.certainty]}, {_allowed(finding)}")
    page.show(title)
    page.place(finding.cause if finding.allowed else finding.at)
    page.paragraph(finding.message)


def _allowed(finding: Finding) -> str:
    by = "" if finding.allowed_by is None else f" by {_BY[finding.allowed_by]}"
    return f"allowed{by}" + ("" if finding.reason is None else f": {visible(finding.reason)}")


def _leaves(page: Page, report: Report) -> None:
    for leaf in report.leaves[:_MOST_LEAVES]:
        page.blank()
        _leaf(page, leaf)
    if len(report.leaves) > _MOST_LEAVES:
        page.paragraph(f"and {len(report.leaves) - _MOST_LEAVES} more leaves", indent=0)


def _leaf(page: Page, leaf: Leaf) -> None:
    title = Line.assemble(
        ("leaf ", "dim"),
        (cropped(leaf.name, 30), "bold"),
        f"  {tensor(leaf.dtype, leaf.shape)} on {visible(leaf.device)}  ",
        (leaf.verdict, _VERDICT_STYLE.get(leaf.verdict, "bold red")),
        "" if leaf.requires_grad else "  requires_grad is False",
    )
    page.show(title)
    layers = leaf.layers
    cells = max(len(x.answer) for x in (layers.connected, layers.complete, layers.healthy))
    for question, layer in (
        ("connected", layers.connected),
        ("complete", layers.complete),
        ("healthy", layers.healthy),
    ):
        _answer(page, question, layer.answer, cells, layer.sentence)
    if leaf.grad is not None and leaf.verdict != "flows":  # all is well: the norm is enough
        grad = leaf.grad
        spread = f"norm {grad.norm:.2e}, |g| mean {grad.abs_mean:.2e}, max {grad.abs_max:.2e}"
        trouble = f", {grad.nonfinite} not finite" if grad.nonfinite else ""
        _answer(page, "gradient", "", cells, f"{spread}{trouble}, {grad.zero_fraction:.0%} zero")


def _answer(page: Page, question: str, answer: Answer | Literal[""], cells: int, why: str) -> None:
    said = Line(f"{answer:{cells}}", style=_ANSWER_STYLE.get(answer, ""))
    page.hanging(Line.assemble(f"{question:11}", said, "  "), why)


def _passes(page: Page, report: Report) -> None:
    lines = list(pass_lines(report))
    if lines:
        page.blank()
    for line in lines:
        page.paragraph(line, indent=0)


def _unseen(page: Page, report: Report) -> None:
    if not report.unseen:
        return
    page.blank()
    page.show(Line("not seen", style="bold yellow"))
    for sentence in report.unseen[:_MOST_UNSEEN]:
        page.paragraph(sentence)
    if len(report.unseen) > _MOST_UNSEEN:
        page.paragraph(f"and {len(report.unseen) - _MOST_UNSEEN} more")


def _footer(page: Page, report: Report) -> None:
    counts, cost = report.counts, report.cost
    seen = [f"{counts.ops} ops"]
    for number, word in (
        (counts.nodes, "autograd nodes"),
        (counts.steps, "steps"),
        (counts.denoiser_calls, "denoiser calls"),
    ):
        if number is not None:
            seen.append(f"{number} {word}")
    if counts.saved_bytes is not None:
        seen.append(f"{size(counts.saved_bytes)} saved for backward")
    page.blank()
    page.paragraph(f"recorded {', '.join(seen)}", "dim", indent=0)
    page.paragraph(
        f"{size(cost.record_bytes)} of records, {cost.traced_seconds:.2f} s traced, "
        f"{cost.diagnose_seconds:.2f} s to diagnose",
        "dim",
        indent=0,
    )
