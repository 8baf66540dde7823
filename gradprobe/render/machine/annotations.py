"""Findings a line each: as a GitHub workflow takes them, and as compilers write them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from gradprobe.records.report import LOST, Finding, Report, Severity
from gradprobe.render.machine.places import below, encodable, root_of, sentence, span
from gradprobe.render.plain import visible

_COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}


@dataclass(frozen=True, slots=True)
class Github:
    """Workflow commands that annotate the lines of a pull request.

    Paths are relative to the checkout, which GitHub names in GITHUB_WORKSPACE; elsewhere to `base`
    (None: the current directory). Format: "Workflow commands for GitHub Actions", GitHub Docs.
    """

    base: str | None = None

    def render(self, report: Report) -> str:
        """`::error file=...,line=...,title=...::message`; what is accepted is a notice."""
        root = os.environ.get("GITHUB_WORKSPACE") or root_of(self.base)
        lines = [_command(finding, root) for finding in report.findings]
        if not any(f.severity == "error" for f in report.findings) and report.verdict in LOST:
            title = _property(f"gradprobe: {report.verdict}")
            lines.insert(0, f"::error title={title}::{_data(report.headline)}")
        return "".join(f"{line}\n" for line in lines)


def _command(finding: Finding, root: str) -> str:
    frame = finding.cause
    at = span(frame)
    file = below(frame.file, root) or frame.file
    places = {"file": file, "line": at.line, "endLine": at.end_line}
    if at.line == at.end_line:  # elsewhere GitHub takes no columns
        places |= {"col": at.col, "endColumn": at.end_col}
    places["title"] = f"{finding.code} {finding.name}"
    given = ",".join(f"{key}={_property(str(value))}" for key, value in places.items())
    command = "notice" if finding.allowed else _COMMANDS[finding.severity]
    return f"::{command} {given}::{_data(' '.join(_sentences(finding)))}"


def _sentences(finding: Finding) -> Iterator[str]:
    """What there is to say, as sentences of one paragraph."""
    yield sentence(finding.message)
    yield sentence(f"Fix: {finding.fix}")
    if finding.allowed:
        yield sentence(f"Accepted: {finding.reason}" if finding.reason else "Accepted")
    if finding.certainty == "suspected":
        yield "Suspected, not proven."


def _data(text: str) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    return encodable("".join(c if c.isprintable() else visible(c) for c in text))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


@dataclass(frozen=True, slots=True)
class Gcc:
    """`path:line:col: severity: message [CODE]`, which editors' problem matchers read.

    Paths are relative to `base` (None: the current directory) where they lie below it.
    """

    base: str | None = None

    def render(self, report: Report) -> str:
        """A line for each finding, what is accepted as a note, and the headline at the end."""
        root = root_of(self.base)
        lines = []
        for finding in report.findings:
            at = span(finding.cause)
            file = below(finding.cause.file, root) or finding.cause.file
            severity = "note" if finding.allowed else finding.severity
            text = f"{file}:{at.line}:{at.col}: {severity}: {finding.message} [{finding.code}]"
            lines.append(visible(text))
        lines.append(visible(f"gradprobe: {report.headline}"))
        return encodable("".join(f"{line}\n" for line in lines))
