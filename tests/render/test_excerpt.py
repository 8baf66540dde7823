"""The carets stand under exactly the expression, whatever the line holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradprobe.records.source import Frame
from gradprobe.render.excerpt import excerpt
from gradprobe.render.plain import visible
from tests.render.samples import frame

PIECES = st.text(st.sampled_from("ab(), \t\u65e5\u672c\uff21\x1b"), max_size=30)


def under(line: str, carets: str) -> str:
    """The part of `line` whose cells the carets cover."""
    start = len(carets) - len(carets.lstrip())
    cells, covered = 0, ""
    for char in line:
        if start <= cells < len(carets):
            covered += char
        cells += cell_len(char)
    return covered


@given(PIECES, PIECES.filter(str.strip), PIECES)
def test_carets_cover_the_expression(before: str, expression: str, after: str) -> None:
    source = before + expression + after
    at = Frame("f.py", 3, 3, len(before), len(before) + len(expression), "f", source)
    shown = excerpt(at, 400)
    assert shown.expression == visible(expression.replace("\t", "    "))
    assert under(shown.line, shown.underline) == shown.expression


@given(PIECES, PIECES, PIECES, st.integers(20, 60), st.integers(0, 99), st.integers(0, 99))
def test_no_line_is_wider_than_asked(
    before: str, expression: str, after: str, width: int, col: int, end_col: int
) -> None:
    at = Frame("f.py", 3, 3, col, end_col, "f", before + expression + after)
    shown = excerpt(at, width)
    assert cell_len(shown.line) <= width
    assert "^" in shown.underline
    assert cell_len(shown.underline) <= width + 1  # a caret past the end of the line


def test_a_long_line_is_cropped_around_its_expression() -> None:
    source = "    " + "a + " * 60 + "model(x)" + " + b" * 60
    shown = excerpt(frame(source, "model(x)", 3), 60)
    assert shown.expression == "model(x)"
    assert shown.line.startswith("...")
    assert shown.line.endswith("...")
    assert 54 <= len(shown.line) <= 60


def test_an_expression_that_goes_on_below_is_underlined_to_the_end() -> None:
    at = Frame("f.py", 3, 5, 8, 9, "f", "    x = model(  ")
    assert excerpt(at, 60).line == "x = model("
    assert excerpt(at, 60).underline == "    ^^^^^^"


@pytest.mark.parametrize(("col", "end_col"), [(0, 0), (5, 2), (99, 120)])
def test_columns_that_fit_no_line_still_show_it(col: int, end_col: int) -> None:
    shown = excerpt(Frame("f.py", 3, 3, col, end_col, "f", "x = y"), 60)
    assert shown.line == "x = y"
    assert shown.underline.count("^") == 1
