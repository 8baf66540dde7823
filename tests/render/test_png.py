"""The PNG is the SVG in pixels."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from gradprobe.errors import UsageError
from tests.render.hostile import SNIPPETS
from tests.render.samples import SAMPLES, broken

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def size(image: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header chunk that comes first (PNG, 11.2.2)."""
    assert image.startswith(SIGNATURE)
    assert image[12:16] == b"IHDR"
    width, height = struct.unpack(">II", image[16:24])
    return width, height


@pytest.mark.parametrize("dpi", [72, 144])
@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_as_large_as_the_svg(name: str, dpi: int) -> None:
    report = SAMPLES[name]()
    _, _, width, height = ET.fromstring(report.render("svg")).get("viewBox", "").split()
    pixels = size(report.encoded("png", dpi=dpi))
    assert pixels[0] == pytest.approx(float(width) * dpi / 72, abs=3)
    assert pixels[1] == pytest.approx(float(height) * dpi / 72, abs=3)


def test_the_same_report_has_the_same_bytes() -> None:
    assert broken().encoded("png") == broken().encoded("png")


@pytest.mark.parametrize("text", SNIPPETS)
def test_any_text_of_the_program_is_painted(text: str) -> None:
    assert size(replace(broken(), headline=text).encoded("png")) > (100, 100)


def test_it_is_saved_as_bytes(tmp_path: Path) -> None:
    path = broken().save(tmp_path / "graph.png")
    assert path.read_bytes() == broken().encoded("png")


def test_it_is_no_text() -> None:
    with pytest.raises(UsageError, match=r"png is no text: use encoded\('png'\), or save it"):
        broken().render("png")
    assert broken().encoded("svg").decode() == broken().render("svg")


def test_it_shows_less_where_less_is_asked_for() -> None:
    assert size(broken().encoded("png", depth="stage")) < size(broken().encoded("png"))
    with pytest.raises(UsageError, match="no finding has the code"):
        broken().encoded("png", focus="GP999")
