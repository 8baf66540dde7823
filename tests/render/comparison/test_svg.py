"""Two runs in one picture: columns from leaf to root, side by side, with the break between two."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings

from gradprobe.compare import compare
from gradprobe.records.report import Report
from gradprobe.render.comparison.svg import ComparisonSvg
from tests.render.hostile import hostile_reports
from tests.render.samples import SAMPLES, broken, flows
from tests.render.test_svg import extent, groups


def drawn(good: Report, bad: Report) -> ET.Element:
    return ET.fromstring(ComparisonSvg().render(compare(good, bad)))


def texts(root: ET.Element) -> list[str]:
    return ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("text")]


def boxes(root: ET.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of each box; the heads of the columns have none."""
    return [
        extent(g)
        for g in groups(root, "node")
        if any(not e.tag.endswith(("text", "title")) for e in g)
    ]


@pytest.mark.parametrize("good", SAMPLES)
@pytest.mark.parametrize("bad", SAMPLES)
def test_the_two_columns_stand_side_by_side(good: str, bad: str) -> None:
    root = drawn(SAMPLES[good](), SAMPLES[bad]())
    places = boxes(root)
    assert len(places) % 2 == 0
    tops: dict[int, list[tuple[float, float, float, float]]] = {}
    for place in places:
        tops.setdefault(round((place[1] + place[3]) / 2), []).append(place)
    for pair in tops.values():
        assert len(pair) == 2
        left, right = sorted(pair)
        assert left[2] < right[0], "a box lies over another"
    width = float(root.get("viewBox", "").split()[2])
    assert width < 1_200


def test_the_break_stands_on_the_arrow_where_gradient_ends() -> None:
    root = drawn(flows(), broken())
    finding = broken().findings[0]
    told = [text.strip() for text in texts(root)]
    assert f"\u00d7 {finding.code} sampling.py:{finding.cause.line}" in [
        t.strip("\u00a0") for t in told
    ]
    assert any(text.startswith("They part at ") for text in told)
    assert any(finding.cause.expression in text for text in told)


def test_norms_stand_side_by_side_with_their_ratio() -> None:
    halved = tuple(
        replace(s, grad=replace(s.grad, norm=s.grad.norm / 2)) if s.grad else s
        for s in flows().stages
    )
    root = drawn(flows(), replace(flows(), stages=halved))
    ratios = [text for text in texts(root) if text.endswith("x 0.5")]
    assert ratios
    assert all(text.startswith("|grad| ") for text in ratios)


def test_the_same_twice_parts_nowhere_and_is_small() -> None:
    root = drawn(flows(), flows())
    assert "The gradient takes the same ways in both." in texts(root)
    assert len(boxes(root)) <= 8


def test_the_same_comparison_has_the_same_bytes() -> None:
    compared = compare(flows(), broken())
    assert ComparisonSvg().render(compared) == ComparisonSvg().render(compared)


def test_a_stage_without_a_name_is_drawn() -> None:
    stages = flows().stages
    nameless = replace(stages[0], name="", step=None, grad=None)
    other = replace(flows(), stages=(nameless, *stages[1:]))
    assert boxes(drawn(flows(), other))


@settings(max_examples=15, deadline=None)
@given(hostile_reports(), hostile_reports())
def test_any_two_reports_can_be_drawn(one: Report, other: Report) -> None:
    assert drawn(one, other).get("role") == "img"
