"""The values were cast to integers or booleans.

Integer tensors cannot carry gradient. Quantising an image to uint8 and back keeps the values almost
the same and drops the whole graph.

Leave the cast out of the way to the loss, or use a straight-through estimator:
`x + (quantised(x) - x).detach()`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.selection import only_selects
from gradprobe.diagnose.turning import instead_of
from gradprobe.graph.view import View
from gradprobe.records.op import Kind

CODE = "GP106"
NAME = "integer-cast"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 0.5
q = ((x.clamp(-1, 1) + 1) * 127.5).to(torch.uint8)  # <- GP106
loss = (q.float() / 127.5 - 1).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = (z0 * 0.5).to(torch.float64)
shown = ((x + 1) * 127.5).to(torch.uint8)
loss = x.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Casts on the way whose result is no floating dtype."""
    for found in view.breaks:
        if found.kind is not Kind.CAST or found.result.differentiable:
            continue
        lost = view.total or found.cut.result in instead_of(view)
        if not lost and only_selects(view, found.cut.result):
            continue
        yield Draft(
            of=found,
            at=found.at,
            message=f"the cast to {found.result.dtype} drops {view.leaf.name}'s gradient: "
            "integer and boolean tensors carry none",
            fix="keep floating point on the way to the loss, or use a straight-through estimator",
        )
