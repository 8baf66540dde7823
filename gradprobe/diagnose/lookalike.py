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


def lookalike(view: View) -> Lookalike | None:
    """The first such tensor that was drawn, made by the program, or met from elsewhere."""
    trace = view.trace
    wanted = trace.values.describe(view.leaf.values[0])
    for bits in (RANDOM, MET):
        for value in sorted(view.flow.feeding):
            flags = trace.values.flags[value]
            if not flags & bits or flags & PARAMETER or value in view.leaf.values:
                continue
            meta = trace.values.describe(value)
            if meta.shape != wanted.shape or meta.dtype != wanted.dtype:
                continue
            op = view.data.producer[value]
            if op < 0:
                op = next((o for o in range(len(trace.ops)) if value in view.data.inputs(o)), -1)
                at = view.place_of(op)
                return Lookalike(at, "a tensor of the same shape, made before or elsewhere, is "
                                     "used in its place")  # fmt: skip
            at = view.place_of(op)
            drawn = trace.ops.callee_of(op).kind is Kind.RANDOM
            what = "fresh noise" if drawn else "another tensor"
            return Lookalike(at, f"{what} of the same shape is used in its place")
    return None
