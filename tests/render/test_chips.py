"""The strip above a picture says what the terminal's says, with the looks of the boxes below."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings

from gradprobe.records.report import Report
from gradprobe.render.chips import Chip, chips
from gradprobe.render.looks import CROSS, LOOKS
from gradprobe.render.strip import strip
from tests.render.hostile import hostile_reports
from tests.render.samples import SAMPLES, broken, empty, partial, stage

ARROW = "\u2192"


def flat(report: Report) -> list[Chip]:
    return [chip for line in chips(report) for chip in line]


def text(chip: Chip) -> str:
    return " ".join(piece for piece, _ in chip.words)


def test_a_broken_run_has_its_rule_between_two_chips() -> None:
    assert [text(chip) for chip in flat(broken())] == [
        "z0",
        ARROW,
        "start_state",
        f"{CROSS} GP102 {ARROW}",
        "steps 0-2: step_input, denoised_output, step_noise",
        ARROW,
        "step 3: step_input, denoised_output",
        ARROW,
        "final_output",
        ARROW,
        "loss",
    ]


def test_chips_look_as_boxes_do() -> None:
    looks = [chip.look for chip in flat(broken())]
    assert looks == [LOOKS["live"]] * 3 + [LOOKS["cut"]] + [LOOKS["lost"]] * 7
    assert [chip.look for chip in flat(partial()) if not chip.arrow][1] is LOOKS["partial"]


def test_what_gradient_goes_past_is_marked_in_the_colour_of_a_cut() -> None:
    (words, *_) = [chip.words for chip in flat(partial()) if "step_noise" in text(chip)]
    assert (f"{CROSS} denoised_output,", LOOKS["cut"].text) in words
    assert ("steps 0-48: step_input,", LOOKS["live"].text) in words


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_the_strip_of_the_terminal(name: str) -> None:
    report = SAMPLES[name]()
    told = " ".join(word.shown for word in strip(report) if not word.arrow)
    drawn = " ".join(text(chip) for chip in flat(report) if not chip.arrow)
    assert drawn.replace(f"{CROSS} ", "x ") == re.sub(r"[\[\]]", "", told)


def test_a_long_strip_is_bounded() -> None:
    names = [stage(f"{i}{'n' * 40}", i // 6, "yes") for i in range(400)]
    lines = chips(replace(broken(), stages=tuple(names)))
    assert len(lines) == 5
    assert all(sum(len(text(chip)) for chip in line) <= 160 for line in lines)


def test_without_a_strip_there_is_no_line() -> None:
    assert chips(empty()) == ()


def test_it_is_drawn_in_the_svg_and_is_no_box() -> None:
    root = ET.fromstring(broken().render("svg"))
    svg = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{svg}text")]
    for words in ("start_state", f"{CROSS} GP102 {ARROW}", "final_output"):
        assert words in texts
    nodes = [group for group in root.iter(f"{svg}g") if group.get("class") == "node"]
    assert len(nodes) == len(broken().picture.boxes)


@settings(max_examples=30, deadline=None)
@given(hostile_reports())
def test_any_report_has_chips_of_bounded_length(report: Report) -> None:
    for line in chips(report):
        assert sum(len(text(chip)) for chip in line) <= 2 * 160
    ET.fromstring(report.render("svg"))
