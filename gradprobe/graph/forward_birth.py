"""The op that first gave a value which is not finite, on the way to an op that met one."""

from __future__ import annotations

import math

from gradprobe.graph.dataflow import Dataflow
from gradprobe.records.numerics import Extent


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# An infinity that these put in is meant: a mask before a softmax.
_MEANT = _names("masked_fill where full full_like new_full fill tensor as_tensor triu")
_HANDS_ON = _names("add radd iadd sub to view reshape expand getitem unsqueeze cat")
_DEEPEST = 16


def first_not_finite(data: Dataflow, op: int) -> int | None:
    """The earliest op behind `op`, itself included, that gave Inf or NaN from finite values.

    None if what it took and gave is finite, or nothing is known of it. An infinity from an op that
    was asked for one does not count.
    """
    forward = data.trace.forward
    if forward is None or op < 0:
        return None
    extents = forward.extents

    def bad(value: int) -> bool:
        extent = extents.get(value)
        return extent is not None and not _finite(extent) and not _meant(data, value, extent)

    found: list[int] = []
    waiting = [op] if any(map(bad, data.outputs(op))) else []
    waiting += [data.producer[v] for v in data.inputs(op) if bad(v)]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current < 0 or current in seen:
            continue
        seen.add(current)
        before = [v for v in data.inputs(current) if bad(v)]
        if not before:
            found.append(current)
        waiting.extend(data.producer[v] for v in before)
    return min(found, default=None)


def _finite(extent: Extent) -> bool:
    return math.isfinite(extent.low) and math.isfinite(extent.high)


def _meant(data: Dataflow, value: int, extent: Extent, depth: int = 0) -> bool:
    """Whether an infinity was put in, or was added to what it came from."""
    op = data.producer[value]
    if op < 0 or math.isnan(extent.low) or depth > _DEEPEST:
        return False
    name = data.trace.ops.callee_of(op).name.rsplit(".", 1)[-1].strip("_")
    if name in _MEANT:
        return True
    forward = data.trace.forward
    if name not in _HANDS_ON or forward is None:
        return False
    taken = [(v, forward.extents[v]) for v in data.inputs(op) if v in forward.extents]
    infinite = [(v, e) for v, e in taken if not _finite(e)]
    return bool(infinite) and all(_meant(data, v, e, depth + 1) for v, e in infinite)
