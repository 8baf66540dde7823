"""Findings that came or went, and what else is another in the two runs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from gradprobe.records.comparison import Difference, FindingChange
from gradprobe.records.report import Finding, Report
from gradprobe.records.source import INSTALLED, Frame

_Key = tuple[str, str, str, str, str, str]


def changes_of(good: Report, bad: Report) -> tuple[FindingChange, ...]:
    """The findings of the bad run, new ones first, then those that are gone.

    A finding is the same where code, leaf, function, source text and the end of the path are: lines
    above it may have come or gone, and the program may lie elsewhere.
    """
    left = Counter(map(_key, good.findings))
    new, same = [], []
    for finding in bad.findings:
        key = _key(finding)
        if left[key]:
            left[key] -= 1
            same.append(FindingChange("same", finding))
        else:
            new.append(FindingChange("new", finding))
    gone = []
    for finding in reversed(good.findings):
        key = _key(finding)
        if left[key]:
            left[key] -= 1
            gone.append(FindingChange("gone", finding))
    return (*new, *reversed(gone), *same)


def _key(finding: Finding) -> _Key:
    return (finding.code, finding.leaf, *_place(finding.at), finding.cause.source.strip())


def _place(frame: Frame) -> tuple[str, str, str]:
    file = frame.file.replace("\\", "/")
    for folder in INSTALLED:
        if folder in file:
            return file.rpartition(folder)[2], frame.function, frame.source.strip()
    return file.rpartition("/")[2], frame.function, frame.source.strip()


def differences_of(good: Report, bad: Report) -> tuple[Difference, ...]:
    """Versions, devices, command and counts that are not the same."""
    pairs = zip(_facts(good), _facts(bad), strict=True)
    return tuple(Difference(what, a, b) for (what, a), (_, b) in pairs if a != b)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    told = report.environment
    yield "gradprobe", told.gradprobe
    yield "torch", told.torch
    yield "python", told.python
    yield "devices", ", ".join(told.devices)
    yield "command", shlex.join(told.command)
    yield "root", "none" if report.root is None else report.root.name
    for name in ("ops", "steps", "denoiser_calls"):
        count = getattr(report.counts, name)
        yield name.replace("_", " "), "not known" if count is None else str(count)
