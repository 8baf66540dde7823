"""A line for each finding, as workflows and editors take them apart again."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings

from gradprobe.records.report import Report
from tests.render.hostile import hostile_reports
from tests.render.samples import HOME, SAMPLES, broken, flows

# As GitHub's runner reads a command: properties up to `::`, then the message.
COMMAND = re.compile(r"::(?P<command>\w+) (?P<properties>.*?)::(?P<message>.*)")
# The expression of VS Code's `$gcc` problem matcher.
PROBLEM = re.compile(r"^(.*?):(\d+):(\d*):?\s+(?:fatal\s+)?(warning|error|note):\s+(.*)$")


@pytest.fixture(autouse=True)
def _no_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)


def commands(report: Report, base: str = HOME) -> list[dict[str, str]]:
    found = []
    for line in report.render("github", base=base).splitlines():
        match = COMMAND.fullmatch(line)
        assert match is not None, line
        properties = dict(pair.split("=", 1) for pair in match["properties"].split(","))
        read = {key: unquote(value) for key, value in properties.items()}
        found.append(read | {"command": match["command"], "message": unquote(match["message"])})
    return found


def test_a_finding_annotates_the_line_to_blame() -> None:
    finding = broken().findings[0]
    (command,) = commands(broken())
    assert command["command"] == "error"
    assert command["file"] == finding.cause.file.removeprefix(f"{HOME}/")
    assert (command["line"], command["col"]) == (str(finding.cause.line), "1")
    assert command["title"] == f"{finding.code} {finding.name}"
    assert command["message"].startswith(finding.message)
    assert ".." not in command["message"].replace("...", "")


def test_paths_are_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/home/ada")
    (command,) = commands(broken(), base=HOME)
    assert command["file"].startswith("restore/")


def test_what_means_something_to_the_runner_is_escaped() -> None:
    finding = replace(broken().findings[0], name="a:b,c%d", message="50% of\nit::here, too")
    (command,) = commands(replace(broken(), findings=(finding,)))
    assert command["title"] == f"{finding.code} a:b,c%d"
    assert command["message"].startswith("50% of\nit::here, too.")


def test_a_lost_gradient_without_a_finding_is_an_error_of_no_line() -> None:
    (command,) = commands(replace(broken(), findings=()))
    assert command["command"] == "error"
    assert command["message"] == broken().headline
    assert commands(replace(flows(), findings=())) == []


def test_what_is_accepted_is_a_notice() -> None:
    finding = replace(broken().findings[0], allowed=True, reason="as in the paper")
    *_, command = commands(replace(broken(), findings=(finding,), verdict="partial"))
    assert command["command"] == "notice"
    assert "Accepted: as in the paper." in command["message"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_problem_matcher_reads_every_line_but_the_last(name: str) -> None:
    report = SAMPLES[name]()
    *lines, last = report.render("gcc", base=HOME).splitlines()
    assert last == f"gradprobe: {report.headline}"
    for line, finding in zip(lines, report.findings, strict=True):
        match = PROBLEM.match(line)
        assert match is not None
        at = finding.cause
        file = at.file.removeprefix(f"{HOME}/")
        expected: tuple[Any, ...] = (file, str(at.line), str(at.col + 1), finding.severity)
        assert match.groups()[:4] == expected
        assert match[5] == f"{finding.message} [{finding.code}]"


@settings(max_examples=30, deadline=None)
@given(hostile_reports())
def test_any_report_is_a_line_for_each_finding(report: Report) -> None:
    told = report.render("github")
    told.encode("utf-8")
    lines = told.split("\n")[:-1]
    assert len(lines) in (len(report.findings), len(report.findings) + 1)
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in "".join(lines))
    written = report.render("gcc").split("\n")[:-1]
    assert len(written) == len(report.findings) + 1
