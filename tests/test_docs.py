"""The written pages: those that gradprobe makes are up to date, and none names a machine."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gradprobe import diagnose
from gradprobe.diagnose.rules import RULES
from tests.fresh_environment import ROOT

PAGES = ROOT / "docs" / "rules"
PICTURE = ROOT / "docs" / "images" / "demo.svg"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

UPDATE = "run `make docs`"


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_page_of_a_rule_is_what_explain_prints(code: str) -> None:
    page = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    assert page == diagnose.page(code).rstrip() + "\n", UPDATE


def test_there_is_no_page_of_a_rule_that_is_gone() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {*RULES, "README"}, UPDATE


def test_the_picture_shows_the_demo_s_break_and_is_readable_anywhere() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "GP102" in text
    assert not re.search(r"/(home|Users|root|tmp)/", text)
    assert str(ROOT) not in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []
