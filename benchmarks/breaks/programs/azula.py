"""azula: each of its samplers, called without the decorator that turns gradients off."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.script import both

SAMPLERS = {
    "ddpm": "DDPMSampler(denoiser, steps=4, silent=True)",
    "ddim": "DDIMSampler(denoiser, steps=4, silent=True)",
    "ddim-eta": "DDIMSampler(denoiser, eta=0.5, steps=4, silent=True)",
    "euler": "EulerSampler(denoiser, steps=4, silent=True)",
    "heun": "HeunSampler(denoiser, steps=4, silent=True)",
    "ito": "ItoSampler(denoiser, steps=4, silent=True)",
    "zab": "zABSampler(denoiser, steps=4, silent=True)",
    "vab": "vABSampler(denoiser, steps=4, silent=True)",
    "zeab": "zEABSampler(denoiser, steps=4, silent=True)",
    "xeab": "xEABSampler(denoiser, steps=4, silent=True)",
    "reab": "REABSampler(denoiser, steps=4, silent=True)",
    "pc": "PCSampler(denoiser, steps=4, silent=True)",
}

_SETUP = """\
import torch
from azula import sample
from azula.denoise import KarrasDenoiser
from azula.noise import VPSchedule
from torch import nn


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Linear(16, 4))

    def forward(self, x, t):
        joined = torch.cat([x, t.expand(len(x), 1)], dim=1)
        return self.net(joined)


torch.manual_seed(0)
denoiser = KarrasDenoiser(Backbone(), VPSchedule())
denoiser.requires_grad_(False)
sampler = sample.{sampler}
target = torch.randn(2, 4)
"""

_WAY = """
x = z0 * 1.0
sampled = type(sampler).__call__.__wrapped__(sampler, x)
loss = (sampled - target).square().mean()
"""


def programs() -> Iterator[Program]:
    for name, sampler in SAMPLERS.items():
        yield from both(
            "azula",
            name,
            setup=_SETUP.format(sampler=sampler),
            shape="2, 4",
            way=_WAY,
            modules=("azula.sample", "azula.denoise"),
        )
