"""The HTML document: everything in one file, and a policy that forbids whatever is not in it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gradprobe.records.report import Report
from gradprobe.render.html import assets
from gradprobe.render.html.drawing import Level
from gradprobe.render.html.findings import findings
from gradprobe.render.html.island import island
from gradprobe.render.html.lead import lead
from gradprobe.render.html.markup import shown, tag, words
from gradprobe.render.html.run import run

_SECTIONS = (
    ("picture", "Picture"),
    ("steps", "Steps"),
    ("charts", "Charts"),
    ("findings", "Findings"),
    ("records", "Records"),
    ("unseen", "Not seen"),
    ("run", "Run"),
)
# Filled by the script; without one they say where else to look.
_SCRIPTED = (
    '<noscript><p class="faint">This part needs JavaScript. The JSON report has it.</p></noscript>'
)


def document(report: Report, levels: Sequence[Level], base: str | None) -> str:
    """The whole page."""
    scripts = (assets.chart_library(), assets.script())
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(scripts))}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        '<link rel="icon" href="data:,">',
        tag("title", shown(f"gradprobe: {report.headline}", 120)),
        tag("style", assets.style()),
    ]
    body = [
        '<a class="skip" href="#main">Skip to the report</a>',
        _bar(report),
        tag("main", _main(report, levels, base), id="main", tabindex="-1"),
        tag("aside", "", id="drawer", hidden=True, aria_label="Source"),
        tag("script", island(report, levels, base), type="application/json", id="data"),
        *(tag("script", text) for text in scripts),
    ]
    text = "\n".join(
        ["<!doctype html>", '<html lang="en">', tag("head", "\n".join(head)), "<body>"]
    )
    return "\n".join([text, *body, "</body>", "</html>", ""])


def _policy(scripts: Sequence[str]) -> str:
    """Nothing but what stands in the file, known by its digest; the empty icon is data."""
    allowed = " ".join(map(assets.digest, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {assets.digest(assets.style())}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _bar(report: Report) -> str:
    links = [tag("a", title, href=f"#{name}") for name, title in _SECTIONS]
    theme = tag("button", "Theme", type="button", id="theme", hidden=True)
    name = tag("span", "gradprobe", class_="brand")
    command = " ".join(report.environment.command)
    run = tag("span", tag("bdi", shown(command, 60)), class_="command", title=words(command, 200))
    nav = tag("nav", links, aria_label="Parts of the report")
    return tag("header", [name, run, nav, theme], class_="bar")


def _main(report: Report, levels: Sequence[Level], base: str | None) -> list[str]:
    return [
        lead(report, base),
        _picture(levels),
        _section("steps", "Steps", _SCRIPTED),
        _section("charts", "Charts", _SCRIPTED),
        findings(report, base),
        _section("records", "Hook records", _SCRIPTED),
        run(report),
    ]


def _section(name: str, title: str, inside: str) -> str:
    return tag("section", tag("h2", title) + inside, id=name, tabindex="-1")


def _picture(levels: Sequence[Level]) -> str:
    """The drawings one behind the other; the nearest is shown, also without the script."""
    views = [
        tag(
            "div",
            level.svg if level.drawn else tag("p", escape(level.svg), class_="faint"),
            class_="drawing",
            data_title=level.title,
            hidden=number != len(levels) - 1,
        )
        for number, level in enumerate(levels)
    ]
    return _section("picture", "Picture", "".join(views))
