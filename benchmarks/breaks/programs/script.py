"""Puts a script together: what it sets up, z0, and the way from z0 to `loss`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from benchmarks.breaks.programs import Program

_ONCE = """\
{setup}
z0 = torch.randn({shape}, requires_grad=True)

torch.manual_seed(1)
{way}
loss.backward()
grad = z0.grad
"""

_DESCENT = """\
{setup}
z0 = torch.randn({shape}, requires_grad=True)
start = z0.detach().clone()
optimizer = torch.optim.Adam([z0], lr=0.1)
losses = []
for turn in range(3):
    torch.manual_seed(1)
    optimizer.zero_grad()
{way}
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""

IMAGE_DENOISER = """\
import torch
from torch import nn
{imports}


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x, t):
        hidden = self.inner(x).tanh()
        return 0.1 * x + hidden * (1 + 1e-4 * t.to(x.dtype))


torch.manual_seed(0)
model = Denoiser()
target = torch.randn(1, 3, 4, 4)
"""

KARRAS_DENOISER = """\
import torch
from torch import nn
{imports}


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
        )

    def forward(self, x, sigma):
        sigma = sigma.view(-1, 1, 1, 1)
        keep = 1 / (1 + sigma**2)
        scaled = x * keep.sqrt()
        return keep * x + sigma * keep.sqrt() * self.net(scaled)


torch.manual_seed(0)
model = Denoiser()
model.requires_grad_(False)
target = torch.randn(1, 3, 4, 4)
"""

IMAGE = "1, 3, 4, 4"


def both(
    library: str, name: str, *, setup: str, shape: str, way: str, modules: tuple[str, ...]
) -> Iterator[Program]:
    """The program that calls backward once, and the one that optimises z0."""
    way = textwrap.dedent(way).strip("\n")
    once = _ONCE.format(setup=setup, shape=shape, way=way)
    yield Program(f"{library}/{name}", library, once, modules)
    descent = _DESCENT.format(setup=setup, shape=shape, way=textwrap.indent(way, " " * 4))
    yield Program(f"{library}/{name}/descent", library, descent, modules, descent=True)
