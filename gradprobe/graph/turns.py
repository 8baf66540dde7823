"""Which turn of the sampling loop a place belongs to, told from call stacks alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gradprobe.records.sampling import ModuleCall, Where
from gradprobe.records.trace import Trace


def turns_of(trace: Trace, calls: Sequence[ModuleCall], ends: Where | None) -> list[int] | None:
    """A turn for each call; None where the turns of the sampling loop cannot be told.

    Stacks alone do not say which of two nested loops came round. A loop around the backward too
    (an optimisation, of which `ends` is where backward was called) made one turn only; when two
    others remain, as in an adaptive solver, there is no answer.
    """
    if any(not call.where.frames for call in calls):
        return None
    numbers = [0]
    for before, call in pairwise(calls):
        if goes_on(before.where, call.where):
            numbers.append(numbers[-1])
            continue
        if _turning(trace, before.where, call.where, ends) > 1:
            return None
        numbers.append(numbers[-1] + 1)
    return numbers


def comes_round(calls: Sequence[ModuleCall]) -> bool:
    """Whether a loop came round between any two calls; straight-line code has no steps."""
    return any(
        not before.where.frames or not goes_on(before.where, call.where)
        for before, call in pairwise(calls)
    )


def _turning(trace: Trace, before: Where, call: Where, ends: Where | None) -> int:
    """How many loops may have come round between two calls."""
    at_end = {frame: at for frame, _, at in ends.frames} if ends is not None else {}
    count = 0
    for (frame, site, at), (other, _, later) in zip(before.frames, call.frames, strict=False):
        if frame != other:
            break
        loops = trace.loops.get(site, ())
        if loops and site in trace.generators:
            count = 0  # what drives a generator turns because its own loop does
        for first, last in loops:
            if first <= later <= last and not first <= at_end.get(frame, -1) <= last:
                count += 1
        if at != later:
            break
    return count


def goes_on(before: Where, where: Where) -> bool:
    """Whether the second place comes later in the same turn of every loop than the first."""
    for (frame, _, at), (other, _, later) in zip(before.frames, where.frames, strict=False):
        if frame != other:
            return False
        if at != later:
            return later > at
    return len(before.frames) != len(where.frames)
