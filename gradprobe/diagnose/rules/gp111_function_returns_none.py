"""A custom autograd.Function gave None for this input.

Its backward ran, autograd asked it for the gradient of an argument that leads to the leaf, and it
answered None: to autograd that means zero, without a word.

Return a gradient for every differentiable argument of `forward`, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP111"
NAME = "function-returns-none"

BREAKS = """
import torch

class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, grad):
        return None, None

z0 = torch.randn(4, requires_grad=True)
x = Scale.apply(z0, 80.0)  # <- GP111
loss = x.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None

z0 = torch.randn(4, requires_grad=True)
x = Scale.apply(z0, 80.0)
loss = x.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Functions on the way that were asked for a gradient and gave None."""
    for found in view.breaks:
        call = view.data.functions.get(found.cut.op)
        if call is None or found.cut.source not in call.none_for:
            continue
        defined = call.defined_at
        yield Draft(
            of=found,
            at=found.at,
            related=(Related("its backward is defined", defined),) if defined is not None else (),
            message=f"{call.name}.backward returned None for the argument that carries "
            f"{view.leaf.name}",
            fix=f"return a gradient for every differentiable argument of {call.name}.forward",
        )
