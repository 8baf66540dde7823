"""Nothing that feeds the loss uses the leaf.

The tensor that is optimised and the tensor that is sampled from are not the same: the sampler draws
fresh noise of its own, or reads a stale module-level name, or the leaf was made again after the
sampler took hold of the old one. Gradient may flow very well, to the wrong tensor or to none.

The finding names the leaf and, as its cause, the look-alike that was used instead: same shape and
dtype, feeding the loss. Pass the leaf itself to the sampler (`latents=z0`, `noise=z0`, `x_T=z0`).
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.blind_spots import suspects
from gradprobe.diagnose.lookalike import lookalike
from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View

CODE = "GP109"
NAME = "leaf-unused"

BREAKS = """
import torch

def sample(shape):
    x = torch.randn(shape) * 80.0  # <- opens
    return 0.7 * x + 0.1

z0 = torch.randn(4, requires_grad=True)  # <- GP109
loss = sample(z0.shape).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

def sample(x):
    return 0.7 * (x * 80.0) + 0.1 + 0.0 * torch.randn(x.shape)

z0 = torch.randn(4, requires_grad=True)
loss = sample(z0).pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """A leaf whose values never reach the root."""
    leaf = view.leaf
    if view.flow.used or leaf.at is None or view.refused is not None or not view.total:
        return
    if suspects(view):
        return  # it may have been used where nobody saw
    instead = lookalike(view)
    message = f"nothing that feeds {view.root_name} uses {leaf.name}"
    if instead is not None:
        message += f": {instead.sentence}"
    alone = any(other.name == leaf.name for other in view.others) or not view.others
    yield Draft(
        at=leaf.at,
        certainty="proven" if view.sealed else "suspected",
        severity="error" if alone or leaf.made == "named" else "warning",
        opened_by=instead.at if instead is not None else None,
        message=message,
        fix=f"pass {leaf.name} itself to the sampler"
        + (" in its place" if instead is not None else ""),
    )
