"""The page about trainers and trackers is worked through; its versions are those of the pins."""

from __future__ import annotations

import re
from pathlib import Path

from tests.written_page import work_through

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/trainers.md").read_text(encoding="utf-8")


def test_what_the_page_does_does_what_it_says(tmp_path: Path) -> None:
    written, ran = work_through(PAGE, tmp_path)
    assert (written, ran) == (["fit.py", "charted.py"], 2)


def test_the_versions_are_those_that_are_installed_for_the_tests() -> None:
    stated = dict(re.findall(r"\| `(\w+)` \| ([\d.]+) \|$", PAGE, re.MULTILINE))
    pins = (ROOT / "requirements/constraints.txt").read_text(encoding="utf-8")
    assert len(stated) == 8
    for package, version in stated.items():
        name = {"mlflow": "mlflow-skinny"}.get(package, package)
        assert f"\n{name}=={version}\n" in pins
