"""docs/pytest.md: its files are written, its commands run, and it tells of all that there is."""

from __future__ import annotations

import re
from pathlib import Path

from gradprobe.testing import ProbedTest
from gradprobe.testing.traced_test import Asked
from tests.fresh_environment import ROOT
from tests.written_page import work_through

PAGE = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")


def test_every_example_does_and_prints_what_the_page_says(tmp_path: Path) -> None:
    written, ran = work_through(PAGE, tmp_path)
    names = ["sampler.py", "test_sampler.py", "test_marked.py", "test_plain.py", "check.py"]
    assert (written, ran) == (names, 5)


def test_every_assertion_option_and_argument_is_told() -> None:
    rows = re.findall(r"^\| `(assert_\w+)\(", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(name for name in dir(ProbedTest) if name.startswith("assert_"))
    plugin = (ROOT / "gradprobe" / "pytest_plugin.py").read_text(encoding="utf-8")
    for option in re.findall(r'"(--gradprobe[\w-]*)"', plugin):
        assert f"\n| `{option}" in PAGE
    for ini in re.findall(r'addini\("(\w+)"', plugin):
        assert re.search(rf"\| `{ini}(?: = true)?` \|", PAGE)
    for argument in Asked.__dataclass_fields__:
        assert f"`{argument}`" in PAGE
        assert f"{argument}=None" in plugin or f"{argument}=()" in plugin
