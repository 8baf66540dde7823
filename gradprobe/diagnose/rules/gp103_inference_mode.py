"""The op ran in inference mode.

`torch.inference_mode()` goes further than `no_grad`: besides recording nothing, it makes tensors
that autograd will refuse later, even outside of the block ("Inference tensors cannot be saved for
backward").

Call the undecorated function (`GaussianDiffusion.p_sample.__wrapped__(...)`), or replace the
inference mode on the way to the loss; `torch.enable_grad()` inside of it does not help, only
`torch.inference_mode(False)` does, and only for tensors made outside.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.regions import drafts
from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View

CODE = "GP103"
NAME = "inference-mode"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
with torch.inference_mode():  # <- opens
    image = x.clamp(-1.0, 1.0)  # <- GP103
loss = image.mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
with torch.inference_mode():
    probe = torch.ones(4) * 2.0
x = z0 * 80.0
image = x.clamp(-100.0, 100.0)
loss = image.mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Ops on the way from leaf to root that ran in inference mode."""
    return drafts(view, inference=True)
