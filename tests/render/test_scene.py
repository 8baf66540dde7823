"""What a picture means is told without colour, and what is drawn is bounded."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradprobe.records.picture import Arrow, Box, BoxKind, Picture, State
from gradprobe.render.rows import rows
from gradprobe.render.scene import LOOKS, describe, scene
from tests.render.hostile import SNIPPETS
from tests.render.samples import SAMPLES, broken


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_state_has_its_own_words_and_line() -> None:
    assert set(LOOKS) == set(get_args(State))
    for one, other in itertools.combinations(LOOKS.values(), 2):
        assert one.words != other.words
        assert one.line != other.line


@pytest.mark.parametrize("state", LOOKS)
def test_text_is_readable_on_its_fill(state: State) -> None:
    assert contrast(LOOKS[state].text, LOOKS[state].fill) >= 4.5
    assert contrast(LOOKS[state].text, "#FFFFFF") >= 4.5
    assert contrast(LOOKS[state].line, "#FFFFFF") >= 3


def test_the_cut_arrow_says_code_and_line() -> None:
    wire = next(wire for wire in scene(broken()).wires if wire.look is LOOKS["cut"])
    assert wire.label == "\u00d7 GP102 sampling.py:132"
    assert wire.look.style == "dashed"
    assert "sampling.py:132:20 in sample_euler" in wire.tooltip
    assert broken().findings[0].message in wire.tooltip.replace("\n", " ")


@pytest.mark.parametrize("kind", get_args(BoxKind))
@pytest.mark.parametrize("text", SNIPPETS)
def test_labels_are_cropped(kind: BoxKind, text: str) -> None:
    box = Box("a", kind, text, text, "live")
    (shape,) = scene(replace(broken(), picture=Picture((box,)))).shapes
    assert cell_len(shape.title) <= 30
    assert len(shape.lines) <= 2
    assert all(cell_len(line) <= 34 for line in shape.lines)
    assert len(shape.tooltip) < 2000


def test_an_arrow_to_no_box_is_left_out() -> None:
    picture = Picture((Box("a", "leaf", "z0", "", "live"),), (Arrow("a", "gone", "live"),))
    assert scene(replace(broken(), picture=picture)).wires == ()


def test_a_picture_is_told_in_words() -> None:
    assert describe(broken().picture) == (
        "7 boxes and 6 arrows from z0 to loss; gradient is lost at GP102 sampling.py:132."
    )
    assert describe(Picture()) == "0 boxes and 0 arrows."


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=80),
        )
    )
)
def test_rows_follow_the_arrows(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = graph
    boxes = tuple(Box(str(i), "op", "some label", "x = x + d * dt", "live") for i in range(count))
    arrows = tuple(Arrow(str(tail), str(head), "live") for tail, head in pairs)
    placed = rows(scene(replace(broken(), picture=Picture(boxes, arrows))))
    assert set(placed.row) == {box.key for box in boxes}
    assert all(placed.starts)
    assert set(placed.row.values()) == set(range(len(placed.starts)))
    for tail, head in pairs:
        assert tail >= head or placed.row[str(tail)] <= placed.row[str(head)]


@pytest.mark.parametrize("name", SAMPLES)
def test_titles_fit_a_page(name: str) -> None:
    assert len(scene(SAMPLES[name]()).title) <= 3
