"""Markdown that shows what is in a report, and a diagram that Mermaid's own parser takes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from gradprobe.records.picture import Arrow, Box, BoxKind, Picture, State
from gradprobe.records.report import Report
from gradprobe.render.machine.mermaid import flowchart
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.samples import HOME, SAMPLES, broken

KINDS: tuple[BoxKind, ...] = ("leaf", "stage", "op", "fold", "source", "root")
STATES: tuple[State, ...] = ("live", "partial", "cut", "lost", "unknown")
# Its engine wants a process of its own.
PARSE = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
import pythonmonkey
(folder,) = find_spec("mermaid_parser").submodule_search_locations
library = pythonmonkey.require(str(Path(folder, "lib", "mermaid_syntax_parser.cjs")))
print(json.dumps([bool(library.ValidateMermaid(text)) for text in json.load(sys.stdin)]))
"""


def parsed(diagrams: list[str]) -> list[bool]:
    run = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps(diagrams),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[bool] = json.loads(run.stdout)
    return answers


def html(report: Report) -> str:
    return MarkdownIt("gfm-like", {"linkify": False}).render(report.render("md", base=HOME))


def test_mermaid_takes_every_diagram() -> None:
    pictures = [SAMPLES[name]().picture for name in SAMPLES]
    for text in SNIPPETS:
        boxes = tuple(Box(str(n), kind, text, text, "cut") for n, kind in enumerate(KINDS))
        arrows = tuple(Arrow(str(n), str(n + 1), s, text) for n, s in enumerate(STATES))
        pictures.append(Picture(boxes, arrows))
    diagrams = ["\n".join(flowchart(picture)) for picture in pictures if picture.boxes]
    assert len(diagrams) > len(SNIPPETS)
    refused = ['flowchart LR\nb0[x"] --> b1', "flowchart LR\nb0 -->"]
    assert parsed([*diagrams, *refused]) == [True] * len(diagrams) + [False] * len(refused)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_structured(name: str) -> None:
    report = SAMPLES[name]()
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(report.render("md", base=HOME))
    headings = [tokens[n + 1].content for n, t in enumerate(tokens) if t.type == "heading_open"]
    assert headings == [f"gradprobe: {report.verdict}"]
    fences = [token.info for token in tokens if token.type == "fence"]
    assert fences.count("python") == len(report.findings)
    assert fences.count("mermaid") == bool(report.picture.boxes)
    summaries = [t.content for t in tokens if t.type == "html_block" and "<summary>" in t.content]
    tables = sum(token.type == "table_open" for token in tokens)
    assert tables == bool(report.leaves) + bool(report.stages)
    assert len(summaries) == tables + 1 + bool(report.unseen)


def test_a_finding_has_its_line_and_what_to_do() -> None:
    finding = broken().findings[0]
    page = html(broken())
    assert f"sampling.py:{finding.cause.line}:1</code>" in page
    assert finding.message in page
    assert "sample_euler.__wrapped__(...)" in page
    assert "<strong>GP102 grad-mode-off</strong>" in page


@pytest.mark.parametrize(
    "text", ["<img src=x>", "[a](http://b.c)", "*a* `b` ~~c~~ | d", "@ada #12 :tada:", "http://a.b"]
)
def test_words_of_the_program_stay_words(text: str) -> None:
    finding = replace(broken().findings[0], message=text)
    report = replace(broken(), findings=(finding,), headline=text)
    page = html(report)
    assert "<img" not in page
    assert "<a " not in page
    assert "<em>" not in page
    written = report.render("md", base=HOME)
    assert not any(raw in written for raw in ("@ada", "#12", ":tada:", "http://"))


@settings(max_examples=30, deadline=None)
@given(hostile_reports())
def test_any_report_is_a_page_whose_details_close(report: Report) -> None:
    text = report.render("md")
    text.encode("utf-8")
    page = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert page.count("<details>") == page.count("</details>") > 0
    assert "<script" not in page
