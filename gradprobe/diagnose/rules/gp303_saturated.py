"""An op is saturated for every element.

`clamp` has derivative 0 outside of its range, `relu` below 0, and `tanh`, `sigmoid` and `softmax`
where their result is, to the last bit, at its bound. Where that holds for every element that a
gradient came to, zeros go on: the graph is whole, and nothing arrives.

The usual case is a scheduler that clips the predicted sample (`clip_sample=True` of diffusers'
DDIM) while z0 is optimised far outside of the range, and a hinge that is satisfied.

Leave the clamp out while optimising, widen its range, or start from values inside of it.

Named by `gradprobe trace`, which runs the program again to find it, and under
`Probe(numerics="nodes")`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import ended, kind_of, reason_of, saved
from gradprobe.graph.node_flow import Turn
from gradprobe.graph.view import View

CODE = "GP303"
NAME = "saturated"
NUMERICS = "nodes"

BREAKS = """
import torch

z0 = torch.full((4,), 2.0, requires_grad=True)
x = z0 * 80.0
x = x.clamp(-1.0, 1.0)  # <- GP303
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.tensor([0.001, 2.0, -2.0, 0.002], requires_grad=True)
x = z0 * 80.0
x = x.clamp(-1.0, 1.0)
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Where a gradient ended in an op that is at its bound everywhere."""
    if not view.zero:
        return
    for turn in ended(view):
        at = view.place_of(turn.node.op)
        if at is None or reason_of(turn) != "saturated":
            continue
        yield Draft(
            at=at,
            op=turn.node.op,
            severity="error",
            message=_message(view, turn),
            fix="leave this bound out while optimising, or bring the values inside of it",
        )


def _message(view: View, turn: Turn) -> str:
    name = view.trace.ops.callee_of(turn.node.op).name
    ended = f"a gradient of at most {turn.came:.3g} became exactly zero"
    taken, result = saved(turn, "self"), saved(turn, "result")
    low, high = saved(turn, "min"), saved(turn, "max")
    if taken is not None and (low is not None or high is not None):
        span = (
            f"{low.low if low else float('-inf'):.4g} to {high.high if high else float('inf'):.4g}"
        )
        return f"{name} lets {span} pass and was given {taken.low:.4g} to {taken.high:.4g}: {ended}"
    if taken is None and result is not None:
        return f"{name} is at its bound everywhere ({_range(result.low, result.high)}): {ended}"
    if taken is not None:
        given = _range(taken.low, taken.high)
        return f"{name} has derivative zero for all it was given ({given}): {ended}"
    return f"{name} ({kind_of(turn)}) has derivative zero for every element: {ended}"


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
