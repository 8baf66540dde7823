"""Two runs as a page: one file, no script, nothing from anywhere, all of it text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from gradprobe.compare import compare
from gradprobe.records.report import Report
from gradprobe.render.comparison.html import ComparisonHtml
from tests.render.hostile import hostile_reports
from tests.render.samples import HOME, SAMPLES, broken, flows

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and whether every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page(good: Report, bad: Report) -> Page:
    return Page(ComparisonHtml(base=HOME).render(compare(good, bad)))


@pytest.mark.parametrize("good", SAMPLES)
@pytest.mark.parametrize("bad", SAMPLES)
def test_it_is_one_file_that_asks_for_nothing(good: str, bad: str) -> None:
    made = page(SAMPLES[good](), SAMPLES[bad]())
    names = [name for name, _ in made.elements]
    assert "script" not in names
    assert not [
        a for _, attrs in made.elements for a in attrs if a.startswith("on") or a == "style"
    ]
    for _, attrs in made.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attrs.get(name) or "data:,").startswith(("data:", "#"))
    policy = next(a["content"] for _, a in made.elements if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_where_they_part_comes_first_with_its_line_and_the_fix() -> None:
    made, finding = page(flows(), broken()), broken().findings[0]
    told = made.text
    parts = [
        "They part at",
        finding.cause.source.strip(),
        finding.fix,
        "good: flows",
        "bad: broken",
    ]
    places = [told.index(" ".join(part.split())) for part in parts]
    assert places == sorted(places)
    assert f"{finding.code} {finding.name}" in told
    assert "+ new, error" in told


def test_every_stage_has_its_row() -> None:
    text = ComparisonHtml().render(compare(flows(), broken()))
    stages = compare(flows(), broken()).stages
    body = text[text.index('id="stages') :]
    assert len(re.findall("<tr", body)) == len(stages) + 1


def test_the_same_twice_is_said() -> None:
    assert "The gradient takes the same ways in both." in page(flows(), flows()).text


def test_the_same_comparison_has_the_same_bytes() -> None:
    compared = compare(flows(), broken())
    assert ComparisonHtml().render(compared) == ComparisonHtml().render(compared)


@settings(max_examples=15, deadline=None)
@given(hostile_reports(), hostile_reports())
def test_what_the_program_says_is_text(one: Report, other: Report) -> None:
    made = page(one, other)
    assert {"script", "iframe", "object", "img"}.isdisjoint(name for name, _ in made.elements)
