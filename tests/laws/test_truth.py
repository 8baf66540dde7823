"""A traced case is judged as its truth says: verdict, rule, file, line and expression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.laws.cases import CASES, VERDICTS, Case, judged
from tests.laws.conftest import Nursery

# Cases whose rule gradprobe does not have yet, with the reason. It may not call them healthy.
LATER = json.loads(Path(__file__).with_name("later.json").read_text(encoding="utf-8"))

# What is done with a gradient that flows may be wrong too: such a case names a rule.
BREAKS = [
    c
    for c in judged()
    if c.truth
    and (c.truth["expect"] != "flows" or c.truth["codes"])
    and c.name not in LATER
    and "said" not in c.truth  # what hides is told of, and test_hidden.py says how
]
HEALTHY = [c for c in judged() if c.truth and c.truth["expect"] == "flows" and not c.truth["codes"]]


def named(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def trace(nursery: Nursery, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report, and the truth."""
    assert case.truth is not None
    # As `gradprobe trace` does: where numbers went wrong, every node is measured, and where the
    # trail was lost, values are followed.
    mode = "nodes" if case.truth["expect"] in ("zero", "nan") else "report"
    if case.truth.get("follow"):
        mode = "follow"
    report: dict[str, Any] = nursery.run(case, mode)["report"]
    return report, case.truth


def verdicts(report: dict[str, Any], truth: dict[str, Any]) -> tuple[str, ...]:
    """What may be said; a program that raised before any backward may be called broken too."""
    said = VERDICTS[truth["expect"]]
    return (*said, "broken") if truth["expect"] == "error" and report["root"] is None else said


@named(BREAKS)
def test_the_verdict_of_a_break(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    assert report["verdict"] in verdicts(report, truth), report["headline"]


@named(BREAKS)
def test_the_first_finding_names_the_rule_and_the_line(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    assert report["findings"], report["headline"]
    first = report["findings"][0]
    frames = [first["opened_by"], first["at"]]
    said = [f"{f['file']}:{f['line']}: {f['source'].strip()}" for f in frames if f]
    assert first["code"] in truth["codes"], (first["message"], said)
    right = case.places()
    assert any(place.is_at(frame) for place in right for frame in frames), (right, said)
    severity = "warning" if truth["expect"] == "partial" else "error"
    assert first["severity"] == truth.get("severity", severity)


@named([case for case in BREAKS if case.truth and "expression" in case.truth])
def test_the_first_finding_marks_the_expression(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    frame = report["findings"][0]["at"]
    if not case.places()[0].is_at(frame):
        return  # another line, as good an answer: the test above has judged it
    end = frame["end_col"] if frame["end_line"] == frame["line"] else None
    marked = frame["source"][frame["col"] : end]
    assert truth["expression"] in marked
    assert marked != frame["source"]


@named([c for c in judged() if "real" not in c.program.parts and c.name not in LATER])
def test_the_leaf_has_its_name_in_the_program(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    assert truth["target"] in {leaf["name"] for leaf in report["leaves"]}


@pytest.mark.parametrize(
    ("case", "mode"),
    [
        pytest.param(case, mode, id=f"{case.name}-{mode}")
        for case in HEALTHY
        for mode in ("report", "nodes")
        if mode == "report" or not case.hides
    ],
)
def test_a_healthy_program_flows_without_a_finding(nursery: Nursery, case: Case, mode: str) -> None:
    report = nursery.run(case, mode)["report"]
    loud = [f for f in report["findings"] if f["severity"] != "note"]
    assert not loud, [(f["code"], f["at"]["file"], f["at"]["line"], f["message"]) for f in loud]
    assert report["verdict"] == "flows", report["headline"]


# Of these something leaves torch: their text says so.
_LEAVES = ("numpy", ".item()", ".tolist()", "float(")
EXITS = [c for c in HEALTHY if any(way in c.program.read_text() for way in _LEAVES)]


@named(EXITS)
def test_a_healthy_program_is_healthy_when_what_leaves_is_followed(
    nursery: Nursery, case: Case
) -> None:
    test_a_healthy_program_flows_without_a_finding(nursery, case, "follow")


@named(HEALTHY)
def test_a_healthy_program_is_noted_for_what_its_truth_says(nursery: Nursery, case: Case) -> None:
    """Each note by its rule, and by its line where the truth tells one; and nothing else."""
    report, truth = trace(nursery, case)
    told = truth.get("notes", [])
    said = [(f["code"], f["at"]["file"], f["at"]["line"], f["message"]) for f in report["findings"]]
    assert sorted(f["code"] for f in report["findings"]) == sorted(n["code"] for n in told), said
    for note in told:
        place = case.place_of(note)
        assert any(
            f["code"] == note["code"] and place.is_at(f["at"]) for f in report["findings"]
        ), (note, said)


@named(HEALTHY)
def test_all_of_a_healthy_program_was_seen(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    complete = {leaf["name"]: leaf["layers"]["complete"] for leaf in report["leaves"]}
    assert complete[truth["target"]]["answer"] == truth.get("complete", "yes"), complete
    assert bool(report["unseen"]) == bool(truth.get("unseen", False)), report["unseen"]


@named([case for case in judged() if case.name in LATER])
def test_a_break_without_a_rule_is_never_called_healthy(nursery: Nursery, case: Case) -> None:
    report, truth = trace(nursery, case)
    if truth["expect"] != "partial":  # torch itself says that something is wrong
        assert report["verdict"] in verdicts(report, truth), report["headline"]
    else:
        doubts = [
            layer["answer"]
            for leaf in report["leaves"]
            for layer in leaf["layers"].values()
            if layer["answer"] != "yes"
        ]
        assert doubts or report["findings"] or report["unseen"], report["headline"]


def test_the_list_of_later_cases_is_true() -> None:
    names = {case.name for case in judged()}
    assert set(LATER) <= names
    assert all((CASES / f"{name}.json").exists() for name in LATER)
