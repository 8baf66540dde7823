"""The data of the page's script: exact, safe inside of HTML, each line of source there once."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from gradprobe.records.outline import Block, Line, Outline, Part
from gradprobe.records.report import Report
from gradprobe.render.html.island import escaped, island
from gradprobe.render.html.series import charts
from tests.render.hostile import SNIPPETS
from tests.render.samples import GRAD, HOME, broken, partial


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_json_in_html_comes_back_and_ends_no_element(snippet: str) -> None:
    text = escaped({"a": snippet})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": snippet}


def told(report: Report) -> dict[str, object]:
    data: dict[str, object] = json.loads(island(report, [], HOME))
    return data


def test_a_line_of_source_is_there_once() -> None:
    data = told(partial())
    frames, files = data["frames"], data["files"]
    assert isinstance(frames, list)
    assert isinstance(files, list)
    assert len({json.dumps(frame) for frame in frames}) == len(frames) < 12
    assert "run.py" in files


def test_numbers_that_json_has_no_word_for_are_words() -> None:
    sick = replace(GRAD, norm=math.nan)
    stages = tuple(replace(s, grad=sick, sigma=math.inf) for s in broken().stages)
    data = told(replace(broken(), stages=stages))
    records = data["records"]
    assert isinstance(records, dict)
    assert {row[7] for row in records["rows"]} == {"nan"}
    assert {row[2] for row in records["rows"]} == {"inf"}


def test_an_outline_of_nonsense_is_still_told() -> None:
    line = Line("mul", 2, "live", 3, 900, 2, "x = y")
    outline = Outline((), (Block("f", 7, (line,)),), ((0,),), (Part(0, 2, "live", None, 0),))
    data = told(replace(broken(), outline=outline))["outline"]
    assert isinstance(data, dict)
    assert data["blocks"] == [["f", None, [["mul", 2, "live", 3, "x = y", "", ""]]]]


def test_charts_have_a_number_for_each_step_and_mark_the_bad_one() -> None:
    report = partial()
    found = charts(report)
    assert found["steps"] == list(range(50))
    [norm] = [line for line in found["norm"] if line["name"] == "step_input"]
    assert norm["values"][:2] == [0.05, 0.025]
    assert found["marks"] == [{"step": 0, "word": "GP101"}]
    assert found["saved"] == []


def test_what_is_not_finite_is_a_gap_and_a_mark() -> None:
    sick = replace(GRAD, norm=math.inf, nonfinite=3)
    stages = tuple(
        replace(s, grad=sick) if s.step == 7 and s.name == "step_input" else s
        for s in partial().stages
    )
    found = charts(replace(partial(), stages=stages, findings=()))
    [norm] = [line for line in found["norm"] if line["name"] == "step_input"]
    assert [step for step, value in enumerate(norm["values"]) if value is None] == [7]
    assert found["marks"] == [{"step": 7, "word": "NaN/Inf"}]


def test_an_accepted_finding_and_a_note_mark_no_step() -> None:
    finding = partial().findings[0]
    for quiet in (replace(finding, allowed=True), replace(finding, severity="note")):
        assert charts(replace(partial(), findings=(quiet,)))["marks"] == []
