"""The words of a failed assertion: what was lost where, why, what to do, and where it is drawn."""

from __future__ import annotations

from pathlib import Path

from gradprobe.errors import UsageError
from gradprobe.records.report import WRONG, Finding, Leaf, Report, Stage
from gradprobe.registry import renderers
from gradprobe.testing.file_names import plain

UNEXPLAINED = "GP114"  # of a gradient that no other rule explains

# How a kept report is written, as far as there is a renderer: the word in a message, the suffix.
PICTURES = (("picture", "svg"), ("page", "html"))


def lost(report: Report, leaf: Leaf, picture_dir: Path | None) -> list[str]:
    """What became of the gradient of one leaf, and the diagnosis."""
    first, *others = diagnosis(report, leaf.name, picture_dir)
    return [f"gradient of {leaf.name}: {leaf.verdict}; {first}", *others]


def diagnosis(
    report: Report, leaf: str, picture_dir: Path | None, finding: Finding | None = None
) -> list[str]:
    """The finding that explains it (or the report's one sentence), its fix, and the picture."""
    findings = report.findings
    if finding is None:
        finding = next((f for f in findings if f.leaf == leaf), findings[0] if findings else None)
    lines = [report.headline] if finding is None else [fact(finding), f"fix: {finding.fix}"]
    if finding is not None and finding.code == UNEXPLAINED:
        # It stands at the backward: the place to look at is that of the next finding.
        beside = next((f for f in findings if f.leaf == leaf and _placed(f)), None)
        lines += [] if beside is None else [fact(beside), f"fix: {beside.fix}"]
    if picture_dir is not None:
        lines += saved(report, picture_dir / plain(f"gradprobe-{leaf}"), PICTURES)
    return lines


def _placed(finding: Finding) -> bool:
    return finding.code != UNEXPLAINED and finding.severity != "note" and not finding.allowed


def saved(report: Report, stem: Path, formats: tuple[tuple[str, str], ...]) -> list[str]:
    """Write the report in each format that has a renderer; a line for each, with its path."""
    lines = []
    for word, suffix in formats:
        if suffix in renderers:
            try:
                lines.append(f"{word}: {report.save(stem.with_name(f'{stem.name}.{suffix}'))}")
            except UsageError as error:
                lines.append(f"{word}: none, {error}")
    return lines


def fact(finding: Finding) -> str:
    """One finding: its code, where gradient was lost, where that was caused, and why."""
    cause = finding.opened_by
    word = "saved" if finding.code in WRONG else "opened"
    opened = f", {word} by {cause.place}" if cause is not None else ""
    allowed = " (allowed)" if finding.allowed else ""
    title = f"{finding.code} {finding.name}{allowed}"
    return f"{title} at {finding.at.place}{opened}: {finding.message}"


def record_of(record: Stage) -> str:
    """A hook record by name, step, call and place."""
    step = "" if record.step is None else f" at step {record.step}"
    call = f", call {record.call}" if record.call else ""
    place = "" if record.at is None else f" ({record.at.place})"
    return f"{record.name}{step}{call}{place}"
