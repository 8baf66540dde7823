"""A tensor that autograd had kept for backward was written in place.

Many ops keep what they took or gave, because their derivative needs it: `exp`, `tanh` and `sigmoid`
keep their result, a product and a convolution their inputs. Each write to a tensor raises its
version counter. When backward finds another number than was kept, it stops: "one of the variables
needed for gradient computation has been modified by an inplace operation". torch names neither
line; the finding names the write, and as "saved by" the op that had kept the tensor.

The usual writes are `x += ...`, `x.mul_()`, `x[i] = ...`, a buffer that is used again at every step
of the sampler, and an optimiser's step between a forward and its backward.

Write to a new tensor (`x = x + y`), give the earlier op a copy (`.clone()`), or call backward
before the write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.versions import Spoiled, Wanted, spoiled
from gradprobe.graph.view import View
from gradprobe.records.source import Related
from gradprobe.records.tensor import LEAF, PARAMETER

CODE = "GP201"
NAME = "saved-tensor-overwritten"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
h = torch.tanh(0.7 * x)
h += x  # <- GP201
loss = h.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
h = 0.7 * x
h += torch.tanh(x)
loss = h.pow(2).mean()
loss.backward()
"""

_SAID = re.compile(
    r"modified by an inplace operation: \[([\w.]+?)(?:Tensor|Type) \[([\d, ]*)\]\]"
    r"(?:, which is output \d+ of ([\w:]+),)? is at version (\d+); expected version (\d+)"
)
# `torch.cuda.FloatTensor`, but `CPUBFloat16Type`. A longer name stands before the one it ends with.
_DTYPES = {
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}
_MOST_LATER = 4


def check(view: View) -> Iterator[Draft]:
    """The write that torch's message is about, and the op that had kept the tensor."""
    passed = view.passed
    wanted = _wanted(passed.raised) if passed is not None and passed.raised else None
    if passed is None or wanted is None:
        return
    every = [
        s
        for s in spoiled(view.data, wanted, view.flow.feeding, passed.at_op)
        if view.place_of(s.write) is not None
    ]
    if not every:
        return
    best = every[0]
    at = view.place_of(best.write)
    saved = view.place_of(best.saver)
    assert at is not None
    related = [Related("saved by", saved)] if saved is not None else []
    related += _later(view, best)
    # A version that no seen write led to: some of them were not seen.
    sure = not best.rank[0] and len({view.place_of(s.write) for s in every}) == 1
    yield Draft(
        at=at,
        op=best.write,
        severity="error",
        certainty="proven" if sure else "suspected",
        related=tuple(related),
        message=_message(view, best, wanted),
        fix=_fix(view, best),
    )


def _wanted(said: str) -> Wanted | None:
    match = _SAID.search(said)
    if match is None:
        return None
    dtype = next((name for kind, name in _DTYPES.items() if match[1].endswith(kind)), None)
    if dtype is None:
        return None
    shape = tuple(int(n) for n in match[2].split(",") if n.strip())
    node = match[3]
    if node is not None:
        node = re.sub(r"(Backward)?\d*$", "", node.rsplit("::", 1)[-1]).lower()
    return Wanted(dtype, shape, node, int(match[4]), int(match[5]))


def _message(view: View, best: Spoiled, wanted: Wanted) -> str:
    ops = view.trace.ops
    writer, saver = ops.callee_of(best.write).name, ops.callee_of(best.saver).name
    where = [f"step {step}"] if (step := view.steps.of(best.saver)) is not None else []
    stage = view.stage_at(best.saver)
    where += [stage] if stage is not None else []
    return (
        f"{writer} changed a tensor that {saver} had saved for backward"
        + (f" ({', '.join(where)})" if where else "")
        + f": version {wanted.expected} was expected, {wanted.found} was found"
    )


def _later(view: View, best: Spoiled) -> list[Related]:
    """Further writes to the same tensor, each line once."""
    places = {view.place_of(best.write): None}
    places |= dict.fromkeys(view.place_of(op) for op in best.later)
    frames = [frame for frame in list(places)[1:] if frame is not None]
    return [Related("written again", frame) for frame in frames[:_MOST_LATER]]


def _fix(view: View, best: Spoiled) -> str:
    if view.trace.values.has(best.written, LEAF | PARAMETER):
        return "call backward before this update, or run the forward again after it"
    return (
        "write to a new tensor here (`x = x + y` for `x += y`), or give the op that saved it a "
        "copy (.clone())"
    )
