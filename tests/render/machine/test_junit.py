"""JUnit XML as a reader of it has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from junitparser import Failure, JUnitXml, TestCase, TestSuite

from gradprobe.errors import UnknownFormat
from gradprobe.records.report import Report
from tests.render.hostile import hostile_reports
from tests.render.samples import HOME, SAMPLES, broken, flows


def suite(report: Report) -> TestSuite:
    (read,) = JUnitXml.fromstring(report.render("junit", base=HOME).encode("utf-8"))
    assert isinstance(read, TestSuite)
    return read


def cases(report: Report) -> list[TestCase]:
    return list(suite(report))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_leaf_is_a_case(name: str) -> None:
    report = SAMPLES[name]()
    read = suite(report)
    names = [f"gradient reaches {leaf.name}" for leaf in report.leaves]
    assert [case.name for case in read] == (names or ["a leaf requires gradient"])
    assert read.tests == len(list(read))
    assert read.failures == sum(not case.is_passed for case in read)
    assert (read.errors, read.skipped) == (0, 0)


def test_a_lost_gradient_fails_with_the_diagnosis() -> None:
    finding = broken().findings[0]
    (case,) = cases(broken())
    (failure,) = case.result
    assert isinstance(failure, Failure)
    assert failure.type == finding.code
    assert failure.message == finding.message
    assert f"sampling.py:{finding.cause.line}:1 in {finding.cause.function}" in failure.text
    assert f"fix: {finding.fix}" in failure.text


def test_what_is_accepted_fails_nothing_and_is_told() -> None:
    finding = replace(broken().findings[0], allowed=True)
    (case,) = cases(replace(broken(), findings=(finding,)))
    assert case.is_passed
    assert "(accepted, proven)" in case.system_out


def test_a_lost_gradient_that_no_finding_explains_fails() -> None:
    (case,) = cases(replace(broken(), findings=()))
    (failure,) = case.result
    assert (failure.type, failure.message) == ("broken", broken().headline)


def test_a_program_without_a_leaf_fails() -> None:
    (case,) = cases(replace(flows(), leaves=(), verdict="no-root"))
    assert not case.is_passed


def test_the_file_may_be_named_by_both_suffixes(tmp_path: Path) -> None:
    for name in ("junit.xml", "results.junit.xml", "results.junit"):
        path = broken().save(tmp_path / name, base=HOME)
        assert path.read_text("utf-8") == broken().render("junit", base=HOME)
    with pytest.raises(UnknownFormat, match="xml"):
        broken().save(tmp_path / "results.xml")


@settings(max_examples=30, deadline=None)
@given(hostile_reports())
def test_any_report_is_well_formed(report: Report) -> None:
    read = ElementTree.fromstring(report.render("junit").encode("utf-8"))
    assert len(list(read.iter("testcase"))) == len(report.leaves)
