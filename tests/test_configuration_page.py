"""docs/configuration.md: its files are written, its commands run, and print what stands there."""

from __future__ import annotations

import re
from pathlib import Path

from gradprobe.config import load
from tests.fresh_environment import ROOT
from tests.test_readme import FENCE
from tests.written_page import work_through

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_example_does_and_prints_what_the_page_says(tmp_path: Path) -> None:
    written, ran = work_through(PAGE, tmp_path)
    assert written == ["pyproject.toml", "sampler.py", "run.py", "wrong.toml", "test_sampler.py"]
    assert ran == 5


def test_every_key_has_its_row() -> None:
    from gradprobe.config import _KEYS

    table = PAGE.partition("## Keys")[2].partition("\n\n`find-stages`")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == sorted(_KEYS)


def test_the_first_example_is_what_a_project_would_have(tmp_path: Path) -> None:
    first = next(text for language, text in FENCE.findall(PAGE) if language == "toml")
    path = tmp_path / "pyproject.toml"
    path.write_text(first, encoding="utf-8")
    settings = load(path)
    assert settings.stages == ("denoised_output=sampler.py:sample:denoised",)
    assert (settings.fail_on, settings.denoiser, settings.leaves) == ("warning", "model", ("z0",))
