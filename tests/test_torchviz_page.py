"""docs/torchviz.md: its program runs, its commands print what stands there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import gradprobe
from tests.fresh_environment import ROOT
from tests.written_page import work_through

PAGE = (ROOT / "docs" / "torchviz.md").read_text(encoding="utf-8")


def test_every_example_does_and_prints_what_the_page_says(tmp_path: Path) -> None:
    written, ran = work_through(PAGE, tmp_path)
    assert (written, ran) == (["draw.py"], 3)


def test_every_argument_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == list(inspect.signature(gradprobe.make_dot).parameters)
