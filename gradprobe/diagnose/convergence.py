"""Passes in which nothing was left to improve: an exactly zero gradient there is no break.

A hinge loss that is satisfied, a clamped reward at its bound: the optimiser has come to the bottom,
and the gradient of a bottom is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradprobe.diagnose.rules.gp301_flat_op import check
from gradprobe.graph.view import View


def at_the_bottom(views: Sequence[View]) -> frozenset[int]:
    """Which of a leaf's views, in order of time, are such passes.

    The same backward had given this leaf a gradient before, and its root is now exactly 0 or lower
    than it was in every pass with a gradient. Not so where a flat op stands in the way: rounding
    takes gradient everywhere, not at the bottom alone.
    """
    found = set()
    lowest: dict[object, float] = {}  # by place of the backward: of the passes that moved the leaf
    for number, view in enumerate(views):
        value = view.passed.root_value if view.passed is not None else None
        place = view.root_at.place if view.root_at is not None else None
        if value is None or place is None or not math.isfinite(value) or view.total:
            continue
        if not view.zero:
            if view.grad is not None and not view.nonfinite:
                lowest[place] = min(value, lowest.get(place, math.inf))
        elif place in lowest and (value == 0 or value < lowest[place]) and not any(check(view)):
            found.add(number)
    return frozenset(found)
