"""The neighbourhood of one finding: what lies near it as it is, the rest put together."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from gradprobe.errors import UsageError
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import Finding, Report
from gradprobe.render.thin import thinned
from gradprobe.render.zoom.merged import last_norm, merged, state_of

_NEAR = 3  # arrows from the finding


def focused(report: Report, target: str) -> Report:
    """The report with only the picture around a finding, and with what it says for a headline.

    `target` is a code (the first finding that has it) or a finding's number, from 1.

    Raises `UsageError` where no finding goes by that, or where the picture does not show it.
    """
    number = _number(report.findings, target)
    finding, picture = report.findings[number], report.picture
    start = _ends(picture, number)
    if not start:
        raise UsageError(_not_drawn(report, number))
    near = _around(picture, start)
    groups: dict[str, Box] = {}
    ends = {box.key for box in picture.boxes if box.kind in ("leaf", "root")}
    for inside, stretch in groupby(picture.boxes, lambda box: box.key in near | ends):
        members = list(stretch)
        if not inside and len(members) > 1:
            whole = _rest(members, picture.arrows)
            groups.update((box.key, whole) for box in members)
    at = f"{os.path.basename(finding.cause.file)}:{finding.cause.line}"
    headline = f"{finding.code} {finding.name} at {at}: {finding.message}"
    return replace(report, picture=merged(picture, groups), headline=headline)


def _number(findings: Sequence[Finding], target: str) -> int:
    """The index of the finding that is meant."""
    if target.isascii() and target.isdigit():
        if 1 <= int(target) <= len(findings):
            return int(target) - 1
        raise UsageError(f"there is no finding {target}: the report has {_count(len(findings))}")
    code = target.upper()
    known = [finding.code for finding in findings]
    if code not in known:
        told = ", ".join(dict.fromkeys(known)) or "none"
        raise UsageError(f"no finding has the code {target!r}: the report has {told}")
    return known.index(code)


def _count(findings: int) -> str:
    return "none" if not findings else f"1 to {findings}" if findings > 1 else "1"


def _ends(picture: Picture, number: int) -> set[str]:
    """The boxes on which, or between which, the finding stands."""
    keys = {box.key for box in picture.boxes}
    found = {box.key for box in picture.boxes if box.finding == number}
    for arrow in picture.arrows:
        if arrow.finding == number:
            found |= {arrow.tail, arrow.head} & keys
    return found


def _not_drawn(report: Report, number: int) -> str:
    drawn = [n for n in range(len(report.findings)) if _ends(report.picture, n)]
    told = ", ".join(f"{n + 1} ({report.findings[n].code})" for n in drawn)
    finding = report.findings[number]
    instead = f"it shows {told}" if drawn else "it shows none"
    return f"the picture does not show finding {number + 1} ({finding.code}): {instead}"


def _around(picture: Picture, start: set[str]) -> set[str]:
    beside: dict[str, set[str]] = defaultdict(set)
    for arrow in thinned(picture):
        beside[arrow.tail].add(arrow.head)
        beside[arrow.head].add(arrow.tail)
    near = set(start)
    for _ in range(_NEAR):
        near |= {other for key in near for other in beside[key]}
    return near


def _rest(members: Sequence[Box], arrows: Sequence[Arrow]) -> Box:
    """What is not near: the steps that it holds, or how many boxes."""
    steps = [step for box in members for step in (box.step, box.last_step) if step is not None]
    state, _ = state_of(members, arrows)
    label = f"{len(members)} boxes"
    if steps and min(steps) == max(steps):
        label = f"step {steps[0]}"
    elif steps:
        label = f"steps {min(steps)}-{max(steps)}"
    return Box(
        key=f"rest:{members[0].key}",
        kind="fold",
        label=label,
        detail="not shown here",
        state=state,
        step=min(steps, default=None),
        norm=last_norm(members),
        last_step=max(steps, default=None),
    )
