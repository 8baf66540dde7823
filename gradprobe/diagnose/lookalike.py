"""What was used in place of a leaf that nothing used."""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.graph.view import View
from gradprobe.records.op import Kind
from gradprobe.records.source import Frame
from gradprobe.records.tensor import MET, PARAMETER, RANDOM


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A tensor of the leaf's shape and dtype that feeds the root, and where it came from."""

    at: Frame | None
    sentence: str
    value: int


def lookalike(view: View) -> Lookalike | None:
    """The likeliest such tensor: drawn rather than met from elsewhere, and far from the root.

    What a sampler starts from is many ops away from the loss; its target, often of the same shape
    and drawn as well, is one or two.
    """
    trace = view.trace
    wanted = trace.values.describe(view.leaf.values[0])
    distance = _distances(view)
    farthest = sorted(view.flow.feeding, key=lambda value: (-distance.get(value, 0), value))
    for bits in (RANDOM, MET):
        for value in farthest:
            flags = trace.values.flags[value]
            if not flags & bits or flags & PARAMETER or value in view.leaf.values:
                continue
            meta = trace.values.describe(value)
            if meta.shape != wanted.shape or meta.dtype != wanted.dtype:
                continue
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
    return None


def _distances(view: View) -> dict[int, int]:
    """How many ops lie between each value and the root, by the longest way."""
    distance = dict.fromkeys(view.flow.roots, 0)
    for op in reversed(range(len(view.trace.ops))):
        after = [distance[value] for value in view.data.outputs(op) if value in distance]
        if after:
            for value in view.data.inputs(op):
                distance[value] = max(distance.get(value, 0), max(after) + 1)
    return distance
