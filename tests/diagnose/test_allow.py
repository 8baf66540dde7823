"""Accepted findings: what an entry means, and that an accepted finding is shown and not counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import gradprobe
from gradprobe.diagnose.acceptance import Terms, weigh
from gradprobe.diagnose.allow import Allowed, parse, stale
from gradprobe.errors import UnknownName, UsageError
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame

AT = Frame("/home/a/my_sampler/steps.py", 7, 7, 4, 9, "Sampler.step.<locals>.inner", "x = y")
FINDING = Finding("GP101", "detached", "error", "proven", "z0", AT, "it was detached", "do not")
OPENED = replace(
    FINDING, code="GP102", opened_by=replace(AT, file="/lib/k_diffusion/sampling.py", function="f")
)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("GP301", Allowed("GP301")),
        (" gp301 ", Allowed("GP301")),
        ("GP101:steps.py", Allowed("GP101", "steps.py")),
        ("GP101:./a/steps.py", Allowed("GP101", "a/steps.py")),
        ("GP101:C:/a/steps.py", Allowed("GP101", "C:/a/steps.py")),
        ("GP101:C:/a/steps.py:f", Allowed("GP101", "C:/a/steps.py", "f")),
        ("GP101:steps.py:A.<locals>.f", Allowed("GP101", "steps.py", "A.f")),
        ("GP101:run.py:<module>", Allowed("GP101", "run.py", "<module>")),
    ],
)
def test_the_form_of_an_entry(text: str, entry: Allowed) -> None:
    assert parse(text) == parse([text, entry]) == (entry,)
    assert parse(str(entry)) == (entry,)


@pytest.mark.parametrize(
    "text", ["", "GP101:", "GP101:.py", "GP101:steps", "GP101:steps:f", "GP101:steps.py:f g", ":a"]
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_a_line_or_an_unknown_code_is_told_what_to_write_instead() -> None:
    with pytest.raises(UsageError, match="names a line, and lines move: name the function"):
        parse("GP101:steps.py:7")
    with pytest.raises(UnknownName, match=r"no rule named 'GP310' was seen; did you mean GP30\d"):
        parse("GP310")


@pytest.mark.parametrize(
    ("text", "covers"),
    [
        ("GP101", True),
        ("GP102", False),
        ("GP101:steps.py", True),
        ("GP101:my_sampler/steps.py", True),
        ("GP101:sampler/steps.py", False),  # not from a folder on
        ("GP101:steps.py:Sampler.step.inner", True),
        ("GP101:steps.py:inner", False),
        ("GP101:other.py:Sampler.step.inner", False),
    ],
)
def test_what_an_entry_covers(text: str, covers: bool) -> None:
    [entry] = parse(text)
    assert entry.covers(FINDING) is covers


def test_a_finding_with_a_cause_elsewhere_is_known_by_that() -> None:
    cause, lost = parse(["GP102:k_diffusion/sampling.py:f", "GP102:steps.py"])
    assert cause.covers(OPENED)
    assert not lost.covers(OPENED)


def test_accepted_findings_come_after_those_that_count() -> None:
    note = replace(FINDING, code="GP301", severity="note")
    found = weigh([FINDING, OPENED, note], [], Terms(parse("GP101:steps.py")), [], ()).shown
    assert found == [OPENED, note, replace(FINDING, allowed=True, allowed_by="entry")]
    assert weigh([FINDING, OPENED], [], Terms(), [], ()).shown == [FINDING, OPENED]


def test_an_entry_that_matched_nothing_is_said() -> None:
    entries = [*parse(["GP101", "GP107:steps.py"]), Allowed("GP103", shared=True)]
    assert list(stale([FINDING], entries)) == [
        "allow entry GP107:steps.py: no such finding in this run"
    ]


def test_a_report_keeps_its_verdict_and_tells_what_was_accepted() -> None:
    def run() -> None:
        z0 = torch.ones(2, requires_grad=True)
        (z0 + (2.4 * z0).round()).sum().backward()

    def detached() -> None:
        z0 = torch.ones(2, requires_grad=True)
        (z0 + (2.4 * z0).round() + z0.detach()).sum().backward()

    here = f"GP301:{__file__.rpartition('/')[2]}"
    qualified = f"{run.__qualname__}".replace("<locals>.", "")
    with gradprobe.Probe(allow=[f"{here}:{qualified}", "GP107"]) as probe:
        run()
    report = probe.report()
    [finding] = report.findings
    assert (finding.code, finding.allowed, report.worst()) == ("GP301", True, None)
    assert report.verdict == "partial"
    assert "; GP301 flat-op (allowed) at test_allow.py:" in report.headline
    assert report.unseen == ("allow entry GP107: no such finding in this run",)

    with gradprobe.Probe(allow="GP301") as probe:
        detached()
    report = probe.report()
    assert [(f.code, f.allowed) for f in report.findings] == [("GP101", False), ("GP301", True)]
    assert (report.worst(), report.unseen) == ("warning", ())
    assert "; GP101 detached at test_allow.py:" in report.headline


def test_an_entry_of_another_form_is_refused_before_the_run() -> None:
    with pytest.raises(UsageError, match=r"allow entry 'GP101:x' is not CODE, CODE:FILE or "):
        gradprobe.Probe(allow=["GP101:x"])
