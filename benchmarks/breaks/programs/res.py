"""The RES sampler of the selftest: its solvers, with step noise off and derived from z0."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.script import both

SOLVERS = ("1euler", "2ab", "2mid")
NOISES = ("off", "from_z0")

_SETUP = """\
import torch
from gradprobe.selftest.res_sampler import SamplerConfig, sample


def denoiser(x, sigma):
    pulled = 0.7 * x
    return pulled + 0.1 * torch.tanh(x / sigma)


torch.manual_seed(0)
target = torch.randn(1, 2, 4, 4)
config = SamplerConfig(solver={solver!r}, step_noise={noise!r}, s_churn=1.0)
"""

_WAY = """
unit = z0 * 1.0
result = sample(denoiser, unit, config)
image = result.output
loss = torch.nn.functional.mse_loss(image, target)
"""


def programs() -> Iterator[Program]:
    for solver, noise in product(SOLVERS, NOISES):
        yield from both(
            "res",
            f"{solver}-{noise}",
            setup=_SETUP.format(solver=solver, noise=noise),
            shape="1, 2, 4, 4",
            way=_WAY,
            modules=("gradprobe.selftest.res_sampler", "gradprobe.selftest.exponential"),
        )
