"""Widths of text: what Graphviz laid out, and what a font must keep to."""

from __future__ import annotations

import re

import pytest

from gradprobe.render.layout import lay_out
from gradprobe.render.metrics import width

TEXTS = ["denoised_output", "GP101 guidance.py:16", "x * (1 - t)", "WiI.,|@", "0123456789 ~"]
POINTS = re.compile(r'<polygon[^>]*points="([^"]+)"')


def laid_out(text: str, face: str, bold: bool) -> float:
    """How wide Graphviz takes a text to be: by the box around it alone."""
    inner = f"<b>{text}</b>" if bold else text
    label = f'<<font face="{face}" point-size="20">{inner}</font>>'
    dot = f"digraph {{ a [shape=box, margin=0, width=0, height=0, label={label}] }}"
    *_, box = POINTS.findall(lay_out(dot, "pure"))
    xs = [float(pair.split(",")[0]) for pair in box.split()]
    return max(xs) - min(xs)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("face", "bold"), [("Helvetica", False), ("Helvetica", True)])
def test_helvetica_is_as_wide_as_graphviz_takes_it(text: str, face: str, bold: bool) -> None:
    known = width(text, 20, bold=bold, mono=False)
    assert known == pytest.approx(laid_out(text, face, bold), rel=0.01)


@pytest.mark.parametrize("text", TEXTS)
def test_courier_is_as_wide_as_graphviz_takes_it(text: str) -> None:
    known = width(text, 20, bold=False, mono=True)
    assert known == pytest.approx(laid_out(text, "Courier", False), rel=0.01)


def test_the_cross_and_the_hard_space_have_widths_and_others_none() -> None:
    assert width("\u00d7\u00a0", 1000, bold=False, mono=False) == 584 + 278
    assert width("", 10, bold=False, mono=False) is None
    assert width("\u68af\u5ea6", 10, bold=False, mono=False) is None
    assert width("a\u2192", 10, bold=True, mono=False) is None
