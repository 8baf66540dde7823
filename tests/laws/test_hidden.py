"""Code that hides from a function mode: each row of docs/what-hides.md, as it is claimed there.

A break inside such code is told by its `line`, or by the `call` that hides it, or else what was not
`seen` is said and nothing is called complete.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.laws.cases import CASES, ROOT, Case, judged
from tests.laws.conftest import Nursery

PAGE = ROOT / "docs" / "what-hides.md"
HIDDEN = [case for case in judged() if case.program.parent == CASES / "hidden"]
UNSEEN = [case for case in HIDDEN if case.truth and "said" in case.truth]
TOLD = [case for case in HIDDEN if case.truth and case.truth.get("outcome") in ("line", "call")]


def named(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def report_of(nursery: Nursery, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    assert case.truth is not None
    report: dict[str, Any] = nursery.run(case, "report")["report"]
    return report, case.truth


@named(UNSEEN)
def test_a_break_that_was_not_seen_is_never_called_complete(nursery: Nursery, case: Case) -> None:
    report, _ = report_of(nursery, case)
    assert report["verdict"] == "flows"
    assert report["findings"] == []
    (leaf,) = report["leaves"]
    assert leaf["layers"]["complete"]["answer"] == "unknown"
    assert report["headline"].endswith(", part of the way ran in code that could not be seen")


@named([case for case in HIDDEN if case.truth and "unseen" in case.truth])
def test_what_was_not_seen_is_said(nursery: Nursery, case: Case) -> None:
    report, truth = report_of(nursery, case)
    assert any(said.startswith(truth["unseen"]) for said in report["unseen"]), report["unseen"]


@named([case for case in HIDDEN if case.truth and "unseen" not in case.truth])
def test_nothing_is_said_of_what_was_seen(nursery: Nursery, case: Case) -> None:
    report, _ = report_of(nursery, case)
    assert report["unseen"] == []


@named([case for case in HIDDEN if case.truth and "complete" in case.truth])
def test_a_healthy_run_is_complete_or_it_is_said_why_not(nursery: Nursery, case: Case) -> None:
    report, truth = report_of(nursery, case)
    (leaf,) = report["leaves"]
    assert leaf["layers"]["complete"]["answer"] == truth["complete"]
    assert (truth["complete"] == "unknown") == ("unseen" in truth)


@named(TOLD)
def test_a_finding_is_sure_only_of_what_was_seen(nursery: Nursery, case: Case) -> None:
    report, truth = report_of(nursery, case)
    if truth["outcome"] == "call":  # else the laws of truth have judged it
        assert report["findings"][0]["certainty"] == "suspected"


def rows() -> dict[str, tuple[set[str], list[str]]]:
    """By what hides: the outcomes that the page claims, and the tests that it names."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and "`" in cells[3]:
            claimed = set(re.findall(r"\*\*(\w+)\*\*", cells[2]))
            found[cells[0]] = (claimed, re.findall(r"`([^`]+)`", cells[3]))
    return found


@pytest.mark.parametrize("what", rows())
def test_a_row_claims_what_its_tests_show(what: str) -> None:
    claimed, tests = rows()[what]
    shown = set()
    for test in tests:
        if "::" in test:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
            continue
        truths = [c.truth for c in judged() if c.name.startswith(test) and c.truth is not None]
        assert truths, f"no program {test}"
        shown |= {truth["outcome"] for truth in truths if "outcome" in truth}
    assert not shown or claimed == shown


def test_every_program_has_a_row() -> None:
    told = {Path(test).name for _, tests in rows().values() for test in tests if "::" not in test}
    assert {case.program.stem for case in HIDDEN} <= told
