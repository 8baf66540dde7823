"""A reentrant checkpoint did not see the leaf.

`torch.utils.checkpoint.checkpoint(fn, *args, use_reentrant=True)` runs `fn` without recording and
connects its result only to the tensors among `args`. What `fn` captures by closure is cut off; so
is everything when no argument requires grad (torch warns: "None of the inputs have
requires_grad=True").

Use `use_reentrant=False`, or pass the tensor as an explicit argument.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View

CODE = "GP112"
NAME = "reentrant-checkpoint"

BREAKS = """
import torch
from torch.utils.checkpoint import checkpoint

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
dummy = torch.zeros(1)
y = checkpoint(lambda unused: 0.7 * x + 0.1, dummy, use_reentrant=True)  # <- GP112
loss = y.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch
from torch.utils.checkpoint import checkpoint

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
y = checkpoint(lambda x: 0.7 * x + 0.1, x, use_reentrant=True)
y = checkpoint(lambda y: 0.7 * y + 0.1, y, use_reentrant=False)
loss = y.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Reentrant checkpoints on the way whose arguments do not carry the leaf."""
    for found in view.breaks:
        call = view.data.functions.get(found.cut.op)
        if call is None or not call.reentrant_checkpoint or found.grad_off:
            continue
        yield Draft(
            of=found,
            at=found.at,
            message=f"a reentrant checkpoint cuts {view.leaf.name} off: "
            "its arguments do not carry it, a closure does",
            fix="pass use_reentrant=False, or pass the tensor as an explicit argument",
        )
