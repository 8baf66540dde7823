"""Two runs in a terminal: the first lines say all, and no line is too wide."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from rich.cells import cell_len

from gradprobe.compare import compare
from gradprobe.records.report import Report
from gradprobe.render.comparison.text import ComparisonText
from tests.render.hostile import hostile_reports
from tests.render.samples import HOME, SAMPLES, broken, flows


def text(good: Report, bad: Report, **options: Any) -> str:
    return ComparisonText(base=HOME, **options).render(compare(good, bad))


def test_a_new_break_is_told_first() -> None:
    finding = broken().findings[0]
    lines = text(flows(), broken()).splitlines()
    assert lines[0].startswith("good flows")
    bad = next(n for n, line in enumerate(lines) if line.startswith("bad "))
    parted = next(n for n, line in enumerate(lines) if line.startswith("they part at "))
    assert 0 < bad < parted
    assert f"sampling.py:{finding.cause.line}:1" in lines[parted + 1]
    assert any(finding.cause.source.strip() in line for line in lines[parted + 1 : parted + 4])
    told = "\n".join(lines)
    assert told.count(f"{finding.code} {finding.name}") == 1
    assert "fix: " in told


def test_what_is_gone_is_told_as_gone() -> None:
    assert "- GP102 grad-mode-off  gone, error" in text(broken(), flows())


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_twice_is_said_in_one_line(name: str) -> None:
    told = text(SAMPLES[name](), SAMPLES[name]())
    assert "The gradient takes the same ways in both." in told
    assert "they part" not in told


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("good", SAMPLES)
@pytest.mark.parametrize("bad", SAMPLES)
def test_only_a_path_may_be_wider_than_the_page(good: str, bad: str, width: int) -> None:
    for line in text(SAMPLES[good](), SAMPLES[bad](), width=width).splitlines():
        assert cell_len(line) <= width or "-->" in line


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[" in text(flows(), broken(), color=True)
    assert "\x1b[" not in text(flows(), broken(), color=False)


@settings(max_examples=30, deadline=None)
@given(hostile_reports(), hostile_reports())
def test_any_two_reports_can_be_told(one: Report, other: Report) -> None:
    told = text(one, other)
    told.encode("utf-8", "backslashreplace")
    assert "\x1b" not in told
    assert "\x00" not in told
