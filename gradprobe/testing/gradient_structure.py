"""The structure of a run's gradient as lines of text: no numbers, no lines, no machine.

Two runs of one program have the same text on every machine, so it can be kept beside the tests:

    gradprobe.structure/1
    root: loss (backward)
    leaf z0: flows (connected: yes, complete: yes, healthy: yes)
    stage z0: z0 yes
    stage denoised at 50 steps, 0 to 49: z0 yes
    calls of Denoiser: 50, through 50 to z0
    findings: none
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gradprobe.records.report import Finding, Report, Stage
from gradprobe.records.source import INSTALLED

SCHEMA = "gradprobe.structure/1"


def structure(report: Report, base: Path | None = None) -> str:
    """The lines, with a line end after each. Files are named from the folder `base` on."""
    root = "none" if report.root is None else f"{report.root.name} ({report.root.how})"
    lines = [SCHEMA, f"root: {root}"]
    for leaf in report.leaves:
        layers = leaf.layers
        lines.append(
            f"leaf {leaf.name}: {leaf.verdict} (connected: {layers.connected.answer}, "
            f"complete: {layers.complete.answer}, healthy: {layers.healthy.answer})"
        )
    lines += [*_stages(report), *_calls(report), *_findings(report, base)]
    return "\n".join(lines) + "\n"


def _stages(report: Report) -> Iterator[str]:
    """One line for all records of a stage that are connected alike, in order of the first."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for record in report.stages:
        ties = ", ".join(f"{leaf} {record.connected[leaf]}" for leaf in sorted(record.connected))
        groups.setdefault((record.name, ties), []).append(record)
    for (name, ties), records in groups.items():
        steps = sorted({record.step for record in records if record.step is not None})
        place = f" at {_spread(steps)}" if steps else ""
        times = f", {len(records)} records" if len(records) > max(len(steps), 1) else ""
        yield f"stage {name}{place}{times}: {ties or 'of no leaf'}"


def _spread(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]}"
    if steps == [*range(steps[0], steps[-1] + 1)]:
        return f"{len(steps)} steps, {steps[0]} to {steps[-1]}"
    return f"steps {', '.join(map(str, steps))}"


def _calls(report: Report) -> Iterator[str]:
    for name in dict.fromkeys(call.name for call in report.calls):
        calls = [call for call in report.calls if call.name == name]
        live = Counter(
            leaf
            for call in calls
            for leaf, answer in call.left.items()
            if call.entered == answer == "yes"
        )
        leaves = sorted({leaf for call in calls for leaf in call.left})
        ways = "".join(f", through {live[leaf]} to {leaf}" for leaf in leaves)
        yield f"calls of {name}: {len(calls)}{ways}"


def _findings(report: Report, base: Path | None) -> Iterator[str]:
    found = sorted(_finding(finding, base) for finding in report.findings)
    if not found:
        yield "findings: none"
    for line, count in sorted(Counter(found).items()):
        yield f"{line} x{count}" if count > 1 else line


def _finding(finding: Finding, base: Path | None) -> str:
    cause = finding.cause
    file = cause.file.replace(os.sep, "/")
    for part in INSTALLED:
        if part in file:
            file = file.rpartition(part)[2]
            break
    else:
        if base is not None and os.path.isabs(cause.file):
            near = os.path.relpath(os.path.realpath(cause.file), os.path.realpath(base))
            file = near.replace(os.sep, "/")
    accepted = ", allowed" if finding.allowed else ""
    function = cause.function.replace("<locals>.", "")
    what = f"finding {finding.code} ({finding.severity}{accepted}) of {finding.leaf}"
    return f"{what} in {file}:{function}"
