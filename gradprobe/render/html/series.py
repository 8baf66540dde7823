"""What the charts draw: of each step a number for each of the stages that most steps have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from gradprobe.records.report import Report, Stage
from gradprobe.render.html.markup import words

_MOST_LINES = 4
_MOST_STEPS = 20_000
_MOST_MARKS = 20

Number = Callable[[Stage], float | None]


def charts(report: Report) -> dict[str, Any]:
    """The steps, the lines of each chart by their names, and which steps are bad.

    A number that is not finite is left out of its line, and its step is marked.
    """
    staged = [stage for stage in report.stages if stage.step is not None]
    saved = {p.step: p.saved_bytes for p in report.outline.parts if p.step is not None}
    numbers = {stage.step for stage in staged if stage.step is not None} | set(saved)
    steps = sorted(numbers)[:_MOST_STEPS]
    return {
        "steps": steps,
        "norm": _lines(staged, steps, lambda s: None if s.grad is None else s.grad.norm),
        "value": _lines(staged, steps, lambda s: None if s.value is None else s.value.abs_max),
        "saved": [saved.get(step) for step in steps] if any(saved.values()) else [],
        "marks": _marks(report, staged, set(steps)),
    }


def _lines(stages: Sequence[Stage], steps: Sequence[int], number: Number) -> list[dict[str, Any]]:
    """Up to four stages, those first that most steps have a number of; of a step its first one."""
    found: dict[str, dict[int, float]] = {}
    for stage in stages:
        told = number(stage)
        if told is not None and stage.step is not None:
            found.setdefault(stage.name, {}).setdefault(stage.step, told)
    most = Counter({name: len(told) for name, told in found.items()}).most_common(_MOST_LINES)
    return [
        {"name": words(name, 60), "values": [_finite(found[name].get(s)) for s in steps]}
        for name, _ in most
    ]


def _finite(number: float | None) -> float | None:
    """Seven digits are more than a chart shows, and less than a double writes."""
    return None if number is None or not math.isfinite(number) else float(f"{number:.7g}")


def _marks(report: Report, stages: Sequence[Stage], steps: set[int]) -> list[dict[str, Any]]:
    """Steps with a finding that counts, and the first whose numbers are not finite."""
    marks: dict[int, str] = {}
    for finding in report.findings:
        if finding.step in steps and finding.severity != "note" and not finding.allowed:
            marks.setdefault(finding.step or 0, words(finding.code, 12))
    sick = (s.step for s in stages if s.grad is not None and s.grad.nonfinite)
    sick_values = (s.step for s in stages if s.value is not None and s.value.nonfinite)
    for step in (next(sick, None), next(sick_values, None)):
        if step is not None and step in steps:
            marks.setdefault(step, "NaN/Inf")
    return [{"step": step, "word": word} for step, word in sorted(marks.items())[:_MOST_MARKS]]
