"""What ships with the page: read by people, licensed, and in colours that can be told apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradprobe.records.picture import State
from gradprobe.render.html import assets
from gradprobe.render.html.palette import MARKS, palette
from gradprobe.render.looks import LOOKS
from tests.fresh_environment import ROOT

OWN = sorted((ROOT / "gradprobe/render/html/static").iterdir())
UPLOT = "1.6.32"


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_are_short_and_all_in_use(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert text in assets.script() + assets.style()


def test_no_script_makes_markup_of_text() -> None:
    own = assets.script()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in own.replace("there is no innerHTML", "")


def test_the_chart_library_is_as_it_was_built_and_brings_its_licence() -> None:
    text = assets.chart_library()
    assert f"(v{UPLOT})" in text
    assert "The MIT License" in text.partition("*/")[0]
    assert "Leon Sorokin" in text


@pytest.mark.parametrize("state", LOOKS)
def test_a_state_has_a_mark_words_and_colours_that_can_be_read(state: State) -> None:
    mark, meaning = MARKS[state]
    assert mark
    assert meaning
    found = re.findall(rf"--{state}-text: (#\w+); --{state}-fill: (#\w+);", palette())
    assert len(found) == 3  # light, dark by the system, dark by choice
    for text, fill in found:
        assert contrast(text, fill) >= 4.5


def contrast(one: str, other: str) -> float:
    """As WCAG counts it."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
