"""The values were copied into a new tensor.

`torch.tensor(x)`, `x.new_tensor(y)` and `torch.Tensor(list)` read values and make a tensor without
history, even when what they read is a tensor that requires grad (torch warns, and goes on).

Use the tensor itself, `x.clone()`, or `torch.stack([...])` for a list of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.op import Kind

CODE = "GP105"
NAME = "copied-as-new"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = torch.tensor([z0[0], z0[1], z0[2], z0[3]]) * 80.0  # <- GP105
loss = x.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = torch.stack([z0[0], z0[1], z0[2], z0[3]]) * torch.tensor(80.0)
loss = x.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Copies of tensors that carry the leaf's values."""
    for found in view.breaks:
        if found.kind in (Kind.HOST, Kind.COPY):
            yield Draft(
                of=found,
                at=found.at,
                message=f"{found.callee} copies {view.leaf.name}'s values into a new tensor "
                "without history",
                fix="use the tensor itself or .clone(); torch.stack for a list of tensors",
            )
        elif found.kind is Kind.PARAMETER:
            yield Draft(
                of=found,
                at=found.at,
                message=f"nn.Parameter makes a new leaf of {view.leaf.name}'s values",
                fix=f"sample from {view.leaf.name} itself, or optimise the new parameter instead",
            )
