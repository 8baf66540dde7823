"""How right a report is about a break whose line is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.breaks.operators import Frame
from gradprobe.records.report import Finding, Report


@dataclass(frozen=True, slots=True)
class Line:
    """The statement that was changed: its file and its first and last line."""

    file: str
    first: int
    last: int

    def holds(self, finding: Finding, frame: Frame) -> bool:
        """Whether a finding's place, or what opened it, is this statement."""
        place = finding.at if frame == "at" else finding.opened_by
        if place is None or Path(place.file) != Path(self.file):
            return False
        return self.first <= place.line <= self.last


@dataclass(frozen=True, slots=True)
class Score:
    """`named`: a finding is of the line. `first`: the first one is. `code`: its code is right."""

    named: bool
    first: bool
    code: bool
    said: str
    elsewhere: int  # errors and warnings of other lines


def score(report: Report, line: Line, frame: Frame, codes: Sequence[str]) -> Score:
    """Held against the errors and warnings alone: a note says that nothing was lost."""
    findings = [f for f in report.findings if f.severity != "note"]
    right = [f for f in findings if line.holds(f, frame)]
    return Score(
        named=bool(right),
        first=bool(right) and right[0] is findings[0],
        code=bool(right) and right[0].code in codes,
        said=said(report),
        elsewhere=len(findings) - len(right),
    )


def said(report: Report) -> str:
    """The verdict and the first finding, in short."""
    if not report.findings:
        return f"{report.verdict}, no finding"
    first = report.findings[0]
    opener = first.opened_by
    opened = "" if opener is None else f", opened by {_place(opener.file, opener.line)}"
    return (
        f"{report.verdict}, {first.severity} {first.code} ({first.certainty}) "
        f"at {_place(first.at.file, first.at.line)}{opened}"
    )


def _place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"


def false_alarm(report: Report) -> str | None:
    """What is wrongly said of a healthy program; None where it is left in peace."""
    alarms = any(f.severity != "note" for f in report.findings)
    return said(report) if alarms or report.verdict != "flows" else None
