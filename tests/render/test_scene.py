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
from gradprobe.render.looks import LOOKS
from gradprobe.render.rows import rows
from gradprobe.render.scene import describe, scene
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


def cuts(labels: list[str], states: list[State]) -> Picture:
    boxes = tuple(Box(str(i), "op", "x", "", "live") for i in range(len(labels) + 1))
    arrows = (
        Arrow("0", str(i + 1), state, label, 0)
        for i, (label, state) in enumerate(zip(labels, states, strict=True))
    )
    return Picture(boxes, tuple(arrows))


def test_a_finding_stands_in_full_on_one_arrow() -> None:
    picture = cuts(["A:1", "A:1", "B:2", "A:1"], ["partial", "cut", "cut", "cut"])
    drawn = scene(replace(broken(), picture=picture))
    assert [wire.label for wire in drawn.wires] == ["", "\u00d7 A:1", "\u00d7 B:2", "\u00d7"]


def test_a_long_file_name_does_not_hide_the_line() -> None:
    picture = cuts([f"GP101 {'long_' * 20}.py:123"], ["cut"])
    (wire,) = scene(replace(broken(), picture=picture)).wires
    assert wire.label.endswith("...:123")
    assert cell_len(wire.label) <= 42


@pytest.mark.parametrize("kind", ["leaf", "root"])
@pytest.mark.parametrize("state", ["lost", "cut"])
def test_ends_that_gradient_does_not_join_say_so(kind: BoxKind, state: State) -> None:
    picture = Picture((Box("a", kind, "z0", "", state),))
    (shape,) = scene(replace(broken(), picture=picture)).shapes
    assert shape.words.startswith("\u00d7")


def test_the_caption_is_true_of_a_picture_without_arrows() -> None:
    boxes = (Box("leaf", "leaf", "z0", "", "cut"), Box("root", "root", "loss", "", "lost"))
    drawn = scene(replace(broken(), picture=Picture(boxes)))
    assert drawn.caption == "No values run from one box to another."


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
