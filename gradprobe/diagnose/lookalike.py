"""What was used in place of a leaf that nothing used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gradprobe.graph.flow import feeding_of
from gradprobe.graph.view import View
from gradprobe.records.op import Kind
from gradprobe.records.source import Frame
from gradprobe.records.tensor import MET, PARAMETER, RANDOM

_FAR = 0.75  # of the way of the farthest


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A tensor of the leaf's shape and dtype that feeds the root, and where it came from."""

    at: Frame | None
    sentence: str
    value: int


def lookalike(view: View) -> Lookalike | None:
    """The likeliest such tensor: drawn rather than met from elsewhere, and far from the root.

    What a sampler starts from feeds the first call of its network; the noise of its steps does not.
    It is many ops away from the loss; its target, often of the same shape and drawn as well, is one
    or two.
    """
    distance = _distances(view)
    first = _feeding_the_network(view)
    for bits in (RANDOM, MET):
        found = [value for value in sorted(view.flow.feeding) if _is_alike(view, value, bits)]
        found = [value for value in found if value in first] or found
        if found:
            far = _FAR * max(distance.get(value, 0) for value in found)
            return _told(view, next(v for v in found if distance.get(v, 0) >= far))
    return None


def _feeding_the_network(view: View) -> set[int]:
    """What feeds the first call of a module that is called again; nothing if there is none."""
    calls = view.trace.calls
    times = Counter(call.module for call in calls)
    again = [call for call in calls if times[call.module] > 1]
    if not again:
        return set()
    first = min(again, key=lambda call: (call.from_op, call.depth))
    return feeding_of(view.data, frozenset(), first.inputs)[0]


def _is_alike(view: View, value: int, bits: int) -> bool:
    values = view.trace.values
    flags = values.flags[value]
    if not flags & bits or flags & PARAMETER or value in view.leaf.values:
        return False
    meta, wanted = values.describe(value), values.describe(view.leaf.values[0])
    return (meta.shape, meta.dtype) == (wanted.shape, wanted.dtype)


def _told(view: View, value: int) -> Lookalike:
    trace = view.trace
    name = trace.names.get(value)
    called = f"`{name}`, " if name is not None else ""
    op = view.data.producer[value]
    if op < 0:
        op = next((o for o in range(len(trace.ops)) if value in view.data.inputs(o)), -1)
        made = "made before or elsewhere"
    else:
        made = "drawn here" if trace.ops.callee_of(op).kind is Kind.RANDOM else "made here"
    sentence = f"{called}a tensor of the same shape {made}, is used in its place"
    return Lookalike(view.place_of(op), sentence, value)


def _distances(view: View) -> dict[int, int]:
    """How many ops lie between each value and the root, by the longest way."""
    distance = dict.fromkeys(view.flow.roots, 0)
    for op in reversed(range(len(view.trace.ops))):
        after = [distance[value] for value in view.data.outputs(op) if value in distance]
        if after:
            for value in view.data.inputs(op):
                distance[value] = max(distance.get(value, 0), max(after) + 1)
    return distance
