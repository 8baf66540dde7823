"""Through every call: which calls of the denoiser gradient entered and left, by known truth."""

from __future__ import annotations

import pytest

from tests.laws.cases import Case, judged
from tests.laws.conftest import Nursery

TOLD = [case for case in judged() if case.truth and "through" in case.truth]
HEALTHY = [case for case in judged() if case.truth and case.truth["expect"] == "flows"]

# Part of these runs in code that no function mode sees: nothing is claimed for it.
PARTLY_UNSEEN = {"rules/ok_jit_script"}


@pytest.mark.parametrize("case", TOLD, ids=lambda case: case.name)
def test_each_call_is_told_and_the_line_that_is_to_blame(nursery: Nursery, case: Case) -> None:
    report = nursery.run(case, "report")["report"]
    assert case.truth is not None
    truth = case.truth["through"]
    (leaf,) = report["leaves"]
    assert (leaf["name"], leaf["verdict"]) == (case.truth["target"], "partial")
    assert leaf["layers"]["connected"]["answer"] == "yes"
    assert leaf["layers"]["complete"] == {
        "answer": "no",
        "sentence": truth["sentence"],
        "calls_live": truth["live"],
        "calls": truth["calls"],
    }
    rows = [
        f"{c['step']} {c['call']} {c['entered']} {c['left'][leaf['name']]}" for c in report["calls"]
    ]
    assert rows == truth["rows"]
    finding, *more = report["findings"]
    assert more == []
    (right,) = case.places()
    assert right.is_at(finding["opened_by"]), finding["opened_by"]
    assert report["headline"].startswith(f"partial: {truth['sentence']}; {case.truth['codes'][0]} ")


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_every_call_of_a_healthy_program_is_live(nursery: Nursery, case: Case) -> None:
    report = nursery.run(case, "report")["report"]
    answers = {leaf["layers"]["complete"]["answer"] for leaf in report["leaves"]}
    assert answers <= {"yes", "unknown"}
    assert case.truth is not None
    partly = case.name in PARTLY_UNSEEN or case.truth.get("complete") == "unknown"
    assert ("unknown" in answers) == partly
    for call in report["calls"]:
        assert call["entered"] == "yes"
        assert set(call["left"].values()) == {"yes"}
    for leaf in report["leaves"]:
        counted = sum(leaf["name"] in call["left"] for call in report["calls"])
        assert (leaf["layers"]["complete"]["calls"] or 0) == counted
