"""Strings are made safe to show without losing the ones that are safe already."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from gradprobe.render.plain import cropped, head, short_path, tail, tensor, visible, wrapped
from tests.render.hostile import TEXTS


@given(TEXTS)
def test_visible_text_is_one_line_of_valid_xml_and_utf8(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    element = ET.Element("a")
    element.text = shown
    assert ET.fromstring(ET.tostring(element, encoding="unicode")).text == (shown or None)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M", "Co"])))
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\tb\nc", "a b c"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
    ],
)
def test_what_steers_a_terminal_is_written_out(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(TEXTS, st.integers(0, 60))
def test_cropping_keeps_to_its_cells(text: str, cells: int) -> None:
    assert cell_len(cropped(text, cells)) <= cells
    plain = visible(text)
    assert cell_len(head(plain, cells)) <= cells
    assert plain.startswith(head(plain, cells))
    assert cell_len(tail(plain, cells)) <= cells
    assert plain.endswith(tail(plain, cells))


@given(TEXTS, st.integers(12, 60))
@example("\U0001f3fb", 12)  # a word of no width
def test_wrapping_loses_nothing_but_blanks(text: str, cells: int) -> None:
    plain = visible(text)
    assert all(cell_len(line) <= cells for line in wrapped(plain, cells))
    assert "".join("".join(wrapped(plain, cells)).split()) == "".join(plain.split())


def test_a_path_is_relative_only_where_that_is_shorter() -> None:
    assert short_path("/home/ada/restore/run.py", "/home/ada/restore") == "run.py"
    assert short_path("/opt/x.py", "/home/ada/restore/deep/down") == "/opt/x.py"
    assert short_path("<string>", "/home") == "<string>"
    inside = os.path.join(os.getcwd(), "a", "b.py")
    assert short_path(inside) == os.path.join("a", "b.py")


def test_tensors_are_short() -> None:
    assert tensor("torch.bfloat16", (1, 4, 8, 8)) == "bf16[1,4,8,8]"
    assert tensor("float8_e4m3fn", ()) == "float8_e4m3fn[]"
