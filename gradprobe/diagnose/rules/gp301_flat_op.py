"""The op is flat.

`round`, `floor`, `ceil`, `trunc`, `sign` and `heaviside` have derivative zero almost everywhere.
The graph is whole and the gradient that arrives is exactly zero.

Use a straight-through estimator, `x + (x.round() - x).detach()`, or leave the rounding out of the
way to the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import ended, measured, reason_of
from gradprobe.graph.view import View

CODE = "GP301"
NAME = "flat-op"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = (z0 * 8.0).round() / 8.0  # <- GP301
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 8.0
x = x + (x.round() - x).detach()
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""

_FLAT = frozenset(["round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "heaviside"])


def check(view: View) -> Iterator[Draft]:
    """Flat ops between leaf and root, unless the gradient has another way."""
    ends = {turn.node.op for turn in ended(view) if reason_of(turn) == "flat"}
    proven = ends if measured(view) else None
    for op in view.flow.ops:
        name = view.trace.ops.callee_of(op).name.rsplit(".", 1)[-1].removesuffix("_")
        if name not in _FLAT:
            continue
        results = view.data.outputs(op)
        if not _on_a_live_way(view, results):
            continue  # half of a straight-through estimator, or cut off anyway
        at = view.place_of(op)
        if at is None:
            continue
        yield Draft(
            at=at,
            op=op,
            severity="error" if view.zero and (proven is None or op in proven) else "warning",
            message=f"{name} has derivative zero almost everywhere: no gradient of "
            f"{view.leaf.name} passes it",
            fix="use a straight-through estimator: x + (x.round() - x).detach()",
        )


def _on_a_live_way(view: View, results: Sequence[int]) -> bool:
    """Whether the root's gradient comes as far as these values."""
    waiting = [v for v in results if v in view.flow.connected]
    seen = set(waiting)
    while waiting:
        value = waiting.pop()
        if value in view.flow.roots:
            return True
        for op in view.users(value):
            for result in view.data.outputs(op):
                if result in view.flow.connected and result not in seen:
                    seen.add(result)
                    waiting.append(result)
    return False
