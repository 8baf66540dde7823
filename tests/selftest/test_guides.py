"""The guides: what they say a command prints is what it prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from gradprobe.selftest import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = ("gradient-flow.md", "gradient-flow.zh.md")
BLOCK = re.compile(r"<!-- output of: gradprobe selftest(.*?) -->\n```text\n(.*?)```\n", re.S)
NUMBER = re.compile(r"\d+\.\d+(?:e[+-]\d+)?")


@pytest.mark.parametrize("guide", GUIDES)
def test_outputs_shown_are_the_outputs_printed(guide: str) -> None:
    shown = BLOCK.findall((DOCS / guide).read_text(encoding="utf-8"))
    assert len(shown) == 2
    for options, text in shown:
        out = io.StringIO()
        lang = "zh" if "--lang zh" in options else "en"
        assert run("--step-noise" in options, lang, out=out) == 0
        printed = out.getvalue()
        assert NUMBER.sub("#", text) == NUMBER.sub("#", printed)
        for before, now in zip(NUMBER.findall(text), NUMBER.findall(printed), strict=True):
            assert float(before) == pytest.approx(float(now), rel=0.01)


def test_both_guides_have_the_same_sections_commands_and_codes() -> None:
    english, chinese = ((DOCS / guide).read_text(encoding="utf-8") for guide in GUIDES)
    for pattern in (r"^##? ", r"^```\w*$", r"\bGP\d{3}\b", r"^\| `[a-e]` \|", r"BREAK=\w"):
        found = [re.findall(pattern, text, re.M) for text in (english, chinese)]
        assert found[0] == found[1]
        assert found[0]


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_to_files(guide: str) -> None:
    targets = re.findall(r"\]\(([^):]+)\)", (DOCS / guide).read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (DOCS / target).is_file()
