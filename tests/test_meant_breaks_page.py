"""docs/meant-breaks.md: its files are written, its commands run, and print what stands there."""

from __future__ import annotations

from pathlib import Path

from tests.fresh_environment import ROOT
from tests.written_page import work_through

PAGE = (ROOT / "docs" / "meant-breaks.md").read_text(encoding="utf-8")


def test_every_example_does_and_prints_what_the_page_says(tmp_path: Path) -> None:
    written, ran = work_through(PAGE, tmp_path)
    assert set(written) == {"guidance.py", "run.py", "draft.py", "pyproject.toml"}
    assert ran == 8
