"""The report as a piece of HTML: what a notebook shows, and what any page may hold.

It brings no style sheet and no script, which would act on the page around it or be taken out of
it: every element has its own style. Text has the colour of the page, light or dark; the picture
stands on white, where its colours were chosen. What may be wide scrolls in a box of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from gradprobe.records.report import WRONG, Finding, Report, Severity
from gradprobe.records.source import Frame
from gradprobe.render.excerpt import excerpt
from gradprobe.render.plain import cropped, place, visible
from gradprobe.render.svg import Svg
from gradprobe.render.svg_tree import scrolling
from gradprobe.render.text import Text

_MOST_FINDINGS = 10
_MOST_UNSEEN = 50
_LONGEST = 1000  # characters of a message
_SOURCE = 160  # cells of a source line
_GOOD, _DOUBTFUL, _BAD, _QUIET = "#00806F", "#B85C00", "#CC3311", "#4A7DB5"
_OF_VERDICT = {"flows": _GOOD, "partial": _DOUBTFUL, "no-root": _DOUBTFUL}
_OF_SEVERITY: dict[Severity, str] = {"error": _BAD, "warning": _DOUBTFUL, "note": _QUIET}

_PAGE = "max-width:100%;box-sizing:border-box;line-height:1.5;overflow-wrap:anywhere"
_BADGE = "color:#fff;border-radius:4px;padding:1px 8px;font-weight:600"
_BOX = (
    "width:100%;box-sizing:border-box;overflow-x:auto;background:#fff;color:#000;"
    "border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:8px;margin:8px 0"
)
_FINDING = "margin:10px 0;padding:2px 0 2px 12px"
_CODE = "margin:4px 0;overflow-x:auto;white-space:pre;color:inherit;background:transparent"


@dataclass(frozen=True, slots=True)
class Notebook:
    """A `<div>` for a page of others. Paths are relative to `base` (None: current directory)."""

    base: str | None = None

    def render(self, report: Report) -> str:
        """The verdict, the picture, the findings, and the whole text to be unfolded.

        A picture that cannot be drawn is a sentence in its place: the findings stand without it.
        """
        color = _OF_VERDICT.get(report.verdict, _BAD)
        parts = [
            f'<div class="gradprobe" style="{_PAGE}">',
            f'<div><span style="background:{color};{_BADGE}">{report.verdict}</span> '
            f"<strong>{_shown(report.headline)}</strong></div>",
            _picture(report),
        ]
        for finding in report.findings[:_MOST_FINDINGS]:
            parts += self._finding(finding)
        left = len(report.findings) - _MOST_FINDINGS
        if left > 0:
            parts.append(f"<div>{left} more findings; the JSON report has them all.</div>")
        parts += _unseen(report.unseen)
        text = Text(color=False, width=100, base=self.base).render(report)
        parts += _folded("the whole report", f'<pre style="{_CODE}">{escape(text)}</pre>')
        return "\n".join([*parts, "</div>", ""])

    def _finding(self, finding: Finding) -> Iterator[str]:
        color = _OF_SEVERITY["note" if finding.allowed else finding.severity]
        how = f"{finding.severity}, {finding.certainty}{', allowed' if finding.allowed else ''}"
        yield f'<div style="{_FINDING};border-left:3px solid {color}">'
        yield (
            f'<div><strong style="border-bottom:2px solid {color}">'
            f"{_shown(f'{finding.code} {finding.name}')}</strong> {how}, "
            f"leaf {_shown(cropped(finding.leaf, 40))}{_often(finding)}</div>"
        )
        cause = finding.opened_by
        if cause is not None and cause != finding.at:
            yield from self._place("saved at" if finding.code in WRONG else "cause", cause, color)
            word = "written at" if finding.code in WRONG else "lost at"
        else:
            word = "at"
        yield from self._place(word, finding.at, color)
        yield f"<div>{_shown(finding.message)}</div>"
        yield f"<div><strong>fix:</strong> {_shown(finding.fix)}</div></div>"

    def _place(self, word: str, frame: Frame, color: str) -> Iterator[str]:
        where = escape(cropped(place(frame, self.base), _LONGEST))
        function = escape(cropped(frame.function, 80))
        yield f"<div>{word} <code>{where}</code> in <code>{function}</code></div>"
        if frame.source.strip():
            shown = excerpt(frame, _SOURCE)
            marked = f'<span style="border-bottom:2px solid {color}">{escape(shown.expression)}'
            yield f'<pre style="{_CODE}">{frame.line:>6} | {escape(shown.before)}{marked}</span>'
            yield f"{escape(shown.after)}</pre>"


def _picture(report: Report) -> str:
    try:
        drawn = scrolling(Svg().render(report))
    except (
        Exception
    ) as fault:  # the layout engine's, of any kind; what was found is still to be told
        return f"<div>The picture could not be drawn: {_shown(str(fault) or repr(fault))}</div>"
    return f'<div style="{_BOX}">{drawn}</div>'


def _often(finding: Finding) -> str:
    step = "" if finding.step is None else f"step {finding.step}"
    if finding.count > 1:
        step = f"x{finding.count}" + (f", first at {step}" if step else "")
    return f", {step}" if step else ""


def _unseen(sentences: tuple[str, ...]) -> Iterator[str]:
    if not sentences:
        return
    told = [f"<li>{_shown(sentence)}</li>" for sentence in sentences[:_MOST_UNSEEN]]
    if len(sentences) > _MOST_UNSEEN:
        told.append(f"<li>and {len(sentences) - _MOST_UNSEEN} more</li>")
    yield from _folded(f"not seen: {len(sentences)}", f"<ul>{''.join(told)}</ul>")


def _folded(title: str, inside: str) -> Iterator[str]:
    yield f"<details><summary>{title}</summary>{inside}</details>"


def _shown(text: str) -> str:
    """Words of the program as text: no markup in them, and nothing that steers the page."""
    return escape(cropped(visible(text), _LONGEST))
