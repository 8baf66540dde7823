"""Every rule by its own two programs: the marked lines are what it must name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from gradprobe.diagnose import page
from gradprobe.diagnose.engine import rules
from gradprobe.diagnose.rule import Rule
from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UnknownName
from tests.traced import Traced, trace

EVERY = list(rules())
INDEX = Path(__file__).resolve().parents[2] / "docs" / "rules" / "README.md"


def each_rule(rules: Iterable[Rule]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rule", list(rules), ids=lambda rule: rule.CODE)


NOTES = ("GP306", "GP404")  # they change no verdict


def run_of(folder: Path, rule: Rule, program: str) -> Traced:
    """The program under a probe that looks as closely as the rule needs."""
    return trace(folder, program, numerics=getattr(rule, "NUMERICS", "stages"))


@each_rule(EVERY)
def test_the_broken_program_is_named_first_at_its_line(rule: Rule, tmp_path: Path) -> None:
    run = run_of(tmp_path, rule, rule.BREAKS)
    assert run.first.code == rule.CODE, run.report.headline
    assert run.first.name == rule.NAME
    assert run.is_at(run.first.at, rule.CODE), run.first.at
    assert run.first.leaf == "z0"
    assert run.first.severity == ("note" if rule.CODE in NOTES else "error")
    # Rules of the fourth hundred are about what is done with a gradient that does arrive.
    arrives = rule.CODE.startswith("GP4") or rule.CODE in NOTES
    assert (run.report.verdict == "flows") == arrives, run.report.headline
    assert (rule.CODE in run.report.headline) == (rule.CODE not in NOTES), run.report.headline


@each_rule(rule for rule in EVERY if "# <- opens" in rule.BREAKS)
def test_a_cause_elsewhere_is_named_at_its_own_line(rule: Rule, tmp_path: Path) -> None:
    run = run_of(tmp_path, rule, rule.BREAKS)
    assert run.is_at(run.first.opened_by, "opens"), run.first.opened_by


@each_rule(rule for rule in EVERY if "# <- opens" not in rule.BREAKS)
def test_no_cause_is_named_where_there_is_none(rule: Rule, tmp_path: Path) -> None:
    assert run_of(tmp_path, rule, rule.BREAKS).first.opened_by is None


@each_rule(EVERY)
def test_the_healthy_program_flows_without_a_finding(rule: Rule, tmp_path: Path) -> None:
    run = run_of(tmp_path, rule, rule.CLEAN)
    assert run.raised is None
    assert [f for f in run.report.findings if f.severity != "note"] == []
    assert run.report.verdict == "flows"
    assert [leaf.name for leaf in run.report.leaves] == ["z0"]


@each_rule(EVERY)
def test_a_page_holds_what_the_rule_says_of_itself(rule: Rule) -> None:
    text = page(rule.CODE)
    assert text.startswith(f"# {rule.CODE} {rule.NAME}\n\n")
    assert (rule.__doc__ or "").splitlines()[0] in text
    assert re.findall(r"```python\n(.*?)\n```", text, re.DOTALL) == [
        rule.BREAKS.strip(),
        rule.CLEAN.strip(),
    ]
    assert page(rule.CODE.lower()) == text


def test_the_index_of_the_docs_lists_every_rule() -> None:
    index = INDEX.read_text(encoding="utf-8")
    assert re.findall(r"- \[(GP\d+ [\w-]+)\]\((GP\d+)\.md\)", index) == sorted(
        (f"{rule.CODE} {rule.NAME}", rule.CODE) for rule in EVERY
    )


def test_the_table_names_each_rule_by_its_own_code_and_file() -> None:
    for code, place in RULES.items():
        assert place.rsplit(".", 1)[-1].startswith(f"{code.lower()}_")
    assert [rule.CODE for rule in EVERY] == list(RULES)
    assert len({rule.NAME for rule in EVERY}) == len(EVERY)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.NAME) for rule in EVERY)
    assert all(re.fullmatch(r"GP[1-4]\d\d", rule.CODE) for rule in EVERY)


def test_the_honest_last_word_comes_last() -> None:
    assert list(RULES)[-1] == "GP114"


def test_an_unknown_rule_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no rule named 'GP110x' was seen; did you mean GP110"):
        page("GP110x")
