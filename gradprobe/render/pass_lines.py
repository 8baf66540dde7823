"""A loop around backward in one line: how the gradient went, and since when it fails."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from gradprobe.records.report import BackwardPass, GradStats, Report
from gradprobe.render.plain import cropped

_MOST_LEAVES = 3


def pass_lines(report: Report) -> Iterator[str]:
    """One line for each leaf of a run with several passes: those called where the root's was.

    Iterations are counted from 1.
    """
    root = report.root
    at = root.at if root is not None else None
    passes = [p for p in report.passes if at is not None and p.at is not None and p.at == at]
    if len(passes) < 2:
        return
    for leaf in report.leaves[:_MOST_LEAVES]:
        yield _line(passes, leaf.name)


def _line(passes: Sequence[BackwardPass], leaf: str) -> str:
    every = [p.reached.get(leaf) for p in passes]
    norms = [grad.norm for grad in every if grad is not None and math.isfinite(grad.norm)]
    name = cropped(leaf, 24)
    parts = [f"{len(passes)} backward passes: no gradient of {name}"]
    if norms:
        parts = [
            f"{len(passes)} backward passes: gradient norm of {name} {min(norms):.1e} ... "
            f"{max(norms):.1e}, median {median(norms):.1e}"
        ]
    failing = [
        number
        for number, (seen, grad) in enumerate(zip(passes, every, strict=True), 1)
        if seen.raised is not None or (leaf in seen.reached and _fails(grad))
    ]
    if failing:
        parts.append(_since(failing, len(passes)))
    return "; ".join(parts)


def _fails(grad: GradStats | None) -> bool:
    return grad is None or grad.nonfinite > 0 or grad.abs_max == 0


def _since(failing: Sequence[int], count: int) -> str:
    if len(failing) == count:
        return "failing in all of them"
    first = failing[0]
    if len(failing) == count - first + 1 > 1:
        return f"failing from iteration {first} on"
    if len(failing) == 1:
        return f"failing in iteration {first}"
    return f"failing in {len(failing)}, first in iteration {first}"
