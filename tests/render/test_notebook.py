"""What a notebook shows: HTML that is complete, never clipped, and made of nothing but text."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from gradprobe.records.report import Report
from gradprobe.render import notebook
from gradprobe.render.notebook import Notebook
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.samples import DECORATOR, HOME, SAMPLES, broken, flows

VOID = frozenset({"br", "hr", "img", "input", "meta", "link"})
OURS = {"div", "span", "strong", "code", "pre", "details", "summary", "ul", "li"}
DRAWN = {"svg", "g", "title", "desc", "polygon", "path", "text", "ellipse", "polyline", "tspan"}


class Page(HTMLParser):
    """Reads HTML as a browser does: its elements, attributes, and the words people see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def shown(report: Report) -> Page:
    page = Page(Notebook(base=HOME).render(report))
    assert page.open == []
    return page


def styles(page: Page) -> list[dict[str, str]]:
    found = []
    for _, attributes, _ in page.elements:
        pairs = (one.partition(":") for one in (attributes.get("style") or "").split(";") if one)
        found.append({name.strip(): value.strip() for name, _, value in pairs})
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_verdict_picture_and_findings_are_there(name: str) -> None:
    report = SAMPLES[name]()
    page = shown(report)
    assert report.verdict in page.words
    assert report.headline in page.words
    assert sum(tag == "svg" for tag, _, _ in page.elements) == 1
    for finding in report.findings:
        for words in (f"{finding.code} {finding.name}", finding.message):
            assert words in page.words
        assert finding.fix in page.text
        assert finding.at.expression in page.words
    for sentence in report.unseen:
        assert sentence in page.words
    assert report.render("text", base=HOME, width=100) in page.words


def test_a_break_names_the_cause_and_the_op_that_was_lost() -> None:
    text = shown(broken()).text
    installed = ".venv/lib/python3.11/site-packages/k_diffusion/sampling.py"
    first, second = f"cause {installed}:116:1 in", f"lost at {installed}:132:20 in"
    assert -1 < text.find(first) < text.find(DECORATOR.source) < text.find(second)


def test_nothing_is_clipped_and_what_is_wide_scrolls_in_its_own_box() -> None:
    page = shown(broken())
    for style in styles(page):
        assert style.get("overflow") != "hidden"
        assert "height" not in style or style["height"] == "auto"
        assert "max-height" not in style
    for (tag, _, within), style in zip(page.elements, styles(page), strict=True):
        if tag == "pre":
            assert style["overflow-x"] == "auto"
        if tag == "svg":
            box = styles(page)[[e[0] for e in page.elements].index("svg") - 1]
            assert (box["overflow-x"], box["width"]) == ("auto", "100%")
            assert style["width"] == "100%"
            assert within[-1] == "div"
            width = float(style["max-width"].removesuffix("pt"))
            assert 0.6 < float(style["min-width"].removesuffix("pt")) / width < 0.8


def test_text_takes_the_page_s_colour_and_only_what_has_a_ground_its_own() -> None:
    page = shown(broken())
    for (tag, _, within), style in zip(page.elements, styles(page), strict=True):
        if "svg" in (tag, *within) or style.get("color", "inherit") == "inherit":
            continue
        assert "background" in style


def test_it_brings_no_style_sheet_no_script_and_nothing_from_elsewhere() -> None:
    text = Notebook().render(broken())
    tags = {tag for tag, _, _ in Page(text).elements}
    assert tags <= OURS | DRAWN
    assert "href" not in text
    assert " id=" not in text


@settings(max_examples=60, deadline=None)
@given(hostile_reports())
def test_whatever_the_names_are_they_are_text(report: Report) -> None:
    text = Notebook().render(report)
    text.encode("utf-8")
    page = shown(report)
    assert {tag for tag, _, _ in page.elements} <= OURS | DRAWN
    for tag, attributes, within in page.elements:
        if "svg" not in (tag, *within):
            assert set(attributes) <= {"class", "style"}
    assert not any(ord(char) < 32 and char != "\n" for char in page.text)


def test_the_snippets_are_read_as_they_are() -> None:
    for snippet in (SNIPPETS[0], SNIPPETS[5], SNIPPETS[6], SNIPPETS[8]):
        finding = replace(broken().findings[0], message=snippet)
        page = shown(replace(broken(), findings=(finding,), headline=snippet))
        assert page.words.count(snippet) >= 2


def test_many_findings_are_counted() -> None:
    page = shown(replace(broken(), findings=broken().findings * 200, unseen=("x",) * 200))
    assert "190 more findings; the JSON report has them all." in page.words
    assert "and 150 more" in page.words


def test_a_picture_that_cannot_be_drawn_costs_only_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def render(self, report: Report) -> str:
            raise ET.ParseError("no <svg>")

    monkeypatch.setattr(notebook, "Svg", Broken)
    page = shown(broken())
    assert "The picture could not be drawn: no <svg>" in page.words
    assert broken().findings[0].message in page.words


def test_the_same_report_gives_the_same_bytes() -> None:
    assert Notebook().render(flows()) == Notebook().render(flows())
