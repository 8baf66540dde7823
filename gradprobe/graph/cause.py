"""Which finding explains a break: its code and line stand on the arrow that is cut."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from gradprobe.graph.view import Break
from gradprobe.records.report import WRONG, Finding


@dataclass(frozen=True, slots=True)
class Cause:
    """What stands on an arrow that is cut: code and line of the finding that explains it.

    `meant`: the finding is only a note, as of a solver that leaves its step size undifferentiated.
    """

    label: str
    finding: int | None
    meant: bool = False


def cause_of(found: Break, findings: Sequence[Finding]) -> Cause:
    """The finding that explains a break: by its own line, or by the stretch that it lies in."""
    for number, finding in enumerate(findings):
        if finding.code in WRONG:
            continue
        if (finding.at.file, finding.at.line) == (found.at.file, found.at.line):
            return _cause(finding, number)
    opened = found.region.opened_by if found.region is not None else None
    for number, finding in enumerate(findings):
        by = finding.opened_by
        same = opened is not None and by is not None and by.place == opened.place
        if same or any(r.at.place == found.at.place for r in finding.related):
            return _cause(finding, number)
    return Cause(f"{os.path.basename(found.at.file)}:{found.at.line}", None)


def _cause(finding: Finding, number: int) -> Cause:
    return Cause(label_of(finding), number, meant=finding.severity == "note")


def label_of(finding: Finding) -> str:
    """`GP102 sampling.py:117`: the line that is to blame, wherever the first op was lost."""
    at = finding.cause
    return f"{finding.code} {os.path.basename(at.file)}:{at.line}"
