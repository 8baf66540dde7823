"""What a notebook asks an object for when it is shown there: HTML, a picture, plain text.

The renderers are looked up when something is shown, as by `Report.render`. A fault of theirs is
never raised into the user's cell: what is left is the text, and of that at least the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradprobe.records.report import Report

TEXT, HTML, SVG = "text/plain", "text/html", "image/svg+xml"
Types = Collection[str] | None  # media types


def bundle(report: Report, include: Types = None, exclude: Types = None) -> dict[str, str]:
    """By media type how a report is shown; `include` and `exclude` are what IPython asks for."""
    known: dict[str, Callable[[Report], str | None]] = {TEXT: text, HTML: html, SVG: svg}
    wanted = {
        media: shown
        for media, shown in known.items()
        if (not include or media in include) and media not in (exclude or ())
    }
    made = {media: shown(report) for media, shown in wanted.items()}
    return {media: shown for media, shown in made.items() if shown is not None}


def html(report: Report) -> str:
    """A piece of HTML; the text where a renderer fails."""
    try:
        return report.render("notebook")
    except Exception:
        return preformatted(text(report))


def svg(report: Report) -> str | None:
    """The picture; None where it cannot be drawn."""
    try:
        return report.render("svg")
    except Exception:
        return None


def text(report: Report) -> str:
    """The report for a terminal of 80 columns; one line where its renderer fails."""
    try:
        return report.render("text")
    except Exception as fault:
        line = f"{report.verdict}: {report.headline} (the report could not be shown: {fault!r})"
        return " ".join("".join(c if c.isprintable() else " " for c in line).split())


def preformatted(words: str) -> str:
    """Plain text as HTML."""
    return f'<pre style="max-width:100%;overflow-x:auto">{escape(words)}</pre>'
