"""By which cuts gradient would come to the leaf past ops that give only zeros."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow


def detours(data: Dataflow, flow: Flow, closed: Collection[int]) -> frozenset[int]:
    """The results of the cuts on a way from leaf to root that takes none of the `closed` ops.

    Such a way carries values and no gradient. If nothing but zeros arrives by the others, these
    cuts are why.
    """
    shut = frozenset(closed)
    behind = _behind(data, flow, shut)
    ahead = _ahead(data, flow, shut)
    return frozenset(c.result for c in flow.cuts if c.source in ahead and c.result in behind)


def _ahead(data: Dataflow, flow: Flow, shut: frozenset[int]) -> set[int]:
    """The values that the leaf's come to."""
    back: dict[int, list[int]] = {}  # host values that came back, by the value that left
    for value, returned in data.suspected.items():
        back.setdefault(data.trace.exits[returned.exit].value, []).append(value)

    def following(value: int) -> Iterable[int]:
        yield from back.get(value, ())
        for op in flow.users.get(value, ()):
            if op not in shut:
                yield from data.outputs(op)

    return _walk((v for v in flow.leaf.values if v in flow.between), following, flow)


def _behind(data: Dataflow, flow: Flow, shut: frozenset[int]) -> set[int]:
    """The values that come to the root."""

    def feeding(value: int) -> Iterable[int]:
        returned = data.suspected.get(value)
        if returned is not None:
            yield data.trace.exits[returned.exit].value
        op = data.producer[value]
        if op >= 0 and op not in shut:
            yield from data.inputs(op)

    return _walk(flow.roots, feeding, flow)


def _walk(start: Iterable[int], onward: Callable[[int], Iterable[int]], flow: Flow) -> set[int]:
    found: set[int] = set()
    waiting = list(start)
    while waiting:
        value = waiting.pop()
        if value in found or value not in flow.between:
            continue
        found.add(value)
        waiting.extend(onward(value))
    return found
