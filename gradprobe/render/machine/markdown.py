"""Markdown with a Mermaid diagram, for an issue or a pull request."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gradprobe.records.report import Finding, Report
from gradprobe.render.machine.mermaid import flowchart
from gradprobe.render.machine.places import encodable, sentence
from gradprobe.render.plain import cropped, place, visible
from gradprobe.render.zoom import Drawn, zoomed

_MOST_FINDINGS = 20
_MOST_STAGES = 60
_MOST_BOXES = 80
_MARKS = "\\`*_[]|~$"  # what Markdown takes for its own inside a line
# What GitHub makes links, mentions and pictures of, escaped or not: `#1`, `@ada`, `:tada:`, URLs.
_REFERENCES = re.compile(r"[#@]|:(?=[A-Za-z0-9/+])")


@dataclass(frozen=True, slots=True)
class Markdown:
    """GitHub's Markdown. Paths are relative to `base` (None: the current directory).

    `depth` and `focus` are those of `Svg`, for the diagram.
    """

    base: str | None = None
    depth: Drawn = "auto"
    focus: str | None = None

    def render(self, report: Report) -> str:
        """The diagnosis, each finding with its line and what to do, the picture, and details.

        Raises `UsageError` for a depth or a focus that the picture does not have.
        """
        lines = [f"### gradprobe: {report.verdict}", "", _text(report.headline), ""]
        for finding in report.findings[:_MOST_FINDINGS]:
            lines += self._finding(finding)
        left = len(report.findings) - _MOST_FINDINGS
        if left > 0:
            lines += [f"{left} more findings; the JSON report has them all.", ""]
        picture = zoomed(report, self.depth, self.focus).picture
        if 0 < len(picture.boxes) <= _MOST_BOXES:
            lines += ["```mermaid", *flowchart(picture), "```", ""]
        lines += _details("leaves", _leaves(report))
        lines += _details("stages", _stages(report))
        lines += _details("not seen", [f"- {_text(sentence)}" for sentence in report.unseen])
        lines += _details("environment", _environment(report))
        return encodable("\n".join(lines))

    def _finding(self, finding: Finding) -> Iterator[str]:
        how = "accepted" if finding.allowed else finding.severity
        where = _code(place(finding.cause, self.base))
        title = _text(f"{finding.code} {finding.name}")
        yield f"**{title}** ({how}, {finding.certainty}) at {where}"
        yield ""
        yield from _block(finding.cause.source)
        yield ""
        yield _text(sentence(finding.message))
        if finding.cause != finding.at:
            lost = _code(place(finding.at, self.base))
            yield f"Lost at {lost}: {_code(finding.at.source.strip())}"
        yield ""
        yield f"Fix: {_text(sentence(finding.fix))}"
        if finding.allowed and finding.reason:
            yield f"Accepted: {_text(sentence(finding.reason))}"
        yield ""


def _leaves(report: Report) -> list[str]:
    rows = []
    for leaf in report.leaves:
        layers = leaf.layers
        norm = "" if leaf.grad is None else f"{leaf.grad.norm:.3g}"
        answers = (layers.connected.answer, layers.complete.answer, layers.healthy.answer)
        rows.append(_row(_text(leaf.name), leaf.verdict, *answers, norm))
    return _table(("leaf", "verdict", "connected", "complete", "healthy", "norm"), rows)


def _stages(report: Report) -> list[str]:
    rows = []
    for stage in report.stages[:_MOST_STAGES]:
        step = "" if stage.step is None else str(stage.step)
        norm = "" if stage.grad is None else f"{stage.grad.norm:.3g}"
        answers = ", ".join(f"{_text(leaf)}: {answer}" for leaf, answer in stage.connected.items())
        rows.append(_row(step, _text(stage.name), answers, norm))
    more = len(report.stages) - _MOST_STAGES
    if more > 0:
        rows.append(_row("", f"{more} more", "", ""))
    return _table(("step", "stage", "connected", "gradient norm"), rows)


def _environment(report: Report) -> list[str]:
    told = report.environment
    versions = f"gradprobe {told.gradprobe}, torch {told.torch}, Python {told.python}"
    return [
        f"- {_text(versions)}",
        f"- {_text(', '.join(told.devices))}",
        f"- {_code(' '.join(told.command))}",
    ]


def _details(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _table(header: tuple[str, ...], rows: list[str]) -> list[str]:
    return [_row(*header), _row(*("---" for _ in header)), *rows] if rows else []


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Plain words: nothing in them is Markdown, HTML, a mention or a link."""
    shown = "".join(f"\\{c}" if c in _MARKS else c for c in cropped(text, 1000))
    escaped = html.escape(shown, quote=False)
    return _REFERENCES.sub(lambda found: f"&#{ord(found[0])};", escaped)


def _code(text: str) -> str:
    """A code span, which may hold backticks."""
    shown = cropped(text, 1000).replace("|", "\u2223") or " "
    fence = "`"
    while fence in shown:
        fence += "`"
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def _block(source: str) -> Iterator[str]:
    shown = visible(source.strip())[:1000]
    fence = "```"
    while fence in shown:
        fence += "`"
    yield f"{fence}python"
    yield shown
    yield fence
