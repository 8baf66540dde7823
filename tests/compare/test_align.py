"""Which stage is which: in order, by name, step and call."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradprobe.compare import compare
from gradprobe.records.report import GradStats, Report, Severity, Stage, ValueStats
from tests.render.hostile import hostile_reports
from tests.render.samples import GRAD, SAMPLES, broken, flows, stage


def run(*stages: Stage) -> Report:
    return replace(flows(), stages=stages)


def of(norm: float, nonfinite: int = 0) -> GradStats:
    return replace(GRAD, norm=norm, abs_max=norm, nonfinite=nonfinite)


steps = st.lists(st.integers(0, 9), unique=True, max_size=8).map(sorted)


@given(steps, steps)
def test_steps_that_only_one_run_has_stay_alone(one: list[int], other: list[int]) -> None:
    good = run(*(stage("state", n, "yes") for n in one))
    bad = run(*(stage("state", n, "yes") for n in other))
    pairs = compare(good, bad).stages
    assert [p.step for p in pairs if p.there == (True, True)] == sorted({*one} & {*other})
    assert [p.step for p in pairs if p.there[0]] == one
    assert [p.step for p in pairs if p.there[1]] == other


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_is_the_same_as_itself(name: str) -> None:
    report = SAMPLES[name]()
    compared = compare(report, report)
    assert compared.same
    assert not any(pair.parts for pair in compared.stages)
    assert {change.change for change in compared.findings} <= {"same"}
    assert compared.environment == ()
    assert compared.worst_new() is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile_reports(), hostile_reports())
def test_what_is_new_one_way_is_gone_the_other(one: Report, other: Report) -> None:
    there, back = compare(one, other), compare(other, one)
    new = [c.finding for c in there.findings if c.change == "new"]
    assert new == [c.finding for c in back.findings if c.change == "gone"]
    assert compare(one, one).same


def test_a_gradient_that_is_lost_is_lost_from_the_first_stage_on() -> None:
    good = run(*(stage("state", n, "yes") for n in range(4)))
    bad = run(*(stage("state", n, "yes" if n < 2 else "no") for n in range(4)))
    found = compare(good, bad).divergence
    assert found is not None
    assert (found.kind, found.stage, found.step) == ("connected", "state", 2)


@pytest.mark.parametrize(
    ("kind", "grad"),
    [("zero", of(0.0)), ("nonfinite", of(math.inf, 3)), ("norm", of(0.5))],
)
def test_gradient_is_followed_from_the_root(kind: str, grad: GradStats) -> None:
    good = run(*(stage("state", n, "yes", of(1.0)) for n in range(4)))
    bad = run(*(stage("state", n, "yes", grad if n < 3 else of(1.0)) for n in range(4)))
    found = compare(good, bad).divergence
    assert found is not None
    assert (found.kind, found.step) == (kind, 2)


def test_values_that_differ_come_before_the_gradient_that_follows() -> None:
    one, other = ValueStats(0.0, 1.0, 3.0, 0), ValueStats(0.5, 1.0, 3.0, 0)
    good = run(*(stage("state", n, "yes", of(1.0), value=one) for n in range(3)))
    bad = run(*(stage("state", n, "yes", of(2.0), value=(one, other, other)[n]) for n in range(3)))
    found = compare(good, bad).divergence
    assert found is not None
    assert (found.kind, found.step) == ("value", 1)


def test_numbers_agree_up_to_the_tolerance() -> None:
    good, bad = run(stage("state", 0, "yes", of(1.0))), run(stage("state", 0, "yes", of(1.05)))
    assert compare(good, bad).divergence is not None
    (pair,) = compare(good, bad, tolerance=0.1).stages
    assert pair.parts == ()
    assert pair.ratio == pytest.approx(1.05)


def test_a_finding_is_the_same_where_lines_moved_and_the_program_lies_elsewhere() -> None:
    finding = broken().findings[0]
    at = replace(finding.at, line=finding.at.line + 7, file="/srv" + finding.at.file)
    moved = replace(broken(), findings=(replace(finding, at=at),))
    assert {c.change for c in compare(broken(), moved).findings} == {"same"}
    other = replace(broken(), findings=(replace(finding, code="GP999"),))
    assert {c.change for c in compare(broken(), other).findings} == {"new", "gone"}


@pytest.mark.parametrize("severity", [None, "note", "warning"])
def test_a_lost_gradient_that_nothing_explains_is_an_error(severity: Severity | None) -> None:
    others = () if severity is None else (replace(broken().findings[0], severity=severity),)
    bad = replace(broken(), findings=others)
    assert compare(flows(), bad).worst_new() == "error"
    assert compare(bad, bad).worst_new() is None


def test_what_is_accepted_explains_and_does_not_count() -> None:
    bad = replace(broken(), findings=(replace(broken().findings[0], allowed=True),))
    compared = compare(flows(), bad)
    assert compared.worst_new() is None
    assert compared.divergence is not None
    assert compared.divergence.finding is None
