"""The leaf does not require grad.

A tensor made by `torch.randn(...)` is a constant until `requires_grad_()` is called on it, and
`requires_grad_(False)` makes it one again. Every op that follows works, nothing is recorded, and
`backward()` says "element 0 of tensors does not require grad".

Call `z0.requires_grad_()` before the sampler runs, or make it with `requires_grad=True`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP108"
NAME = "leaf-not-tracking"

BREAKS = """
import torch

z0 = torch.randn(4)  # <- GP108
x = z0 * 80.0
loss = (0.7 * x + 0.1).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4).requires_grad_()
x = z0 * 80.0
loss = (0.7 * x + 0.1).pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """A leaf that feeds the root and was never asked to track, or was frozen."""
    leaf = view.leaf
    if leaf.requires_grad or not view.flow.used:
        return
    made = leaf.at
    if leaf.frozen_at is not None:
        related = (Related("made", made),) if made is not None else ()
        yield Draft(
            at=leaf.frozen_at,
            severity="error",
            related=related,
            message=f"requires_grad_(False) froze {leaf.name}: nothing it feeds can be "
            "differentiated",
            fix=f"remove this call, or call {leaf.name}.requires_grad_() before the sampler runs",
        )
    elif made is not None:
        guessed = leaf.made == "inferred"
        yield Draft(
            at=made,
            severity="error",
            certainty="suspected" if guessed else "proven",
            message=f"{leaf.name} does not require grad"
            + (f", and no other tensor that feeds {view.root_name} does" if guessed else ""),
            fix=f"call {leaf.name}.requires_grad_() before the sampler runs, "
            "or make it with requires_grad=True",
        )
