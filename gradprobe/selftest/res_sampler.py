"""A differentiable RES sampler with learnable noise, small enough to read in one sitting.

The update rules are in `exponential`. Around them stand the two things a sampler adds: the
stochastic noise of EDM (T. Karras et al., arXiv 2206.00364, algorithm 2: `s_churn`, `s_min`,
`s_max`, `s_noise`) and a clean last step, one more denoiser call at `sigma_min` whose answer is
the output.

The noise is learnable: the start state is `sigma_max * z0`, and the noise injected at each step
may be derived from z0 too. Nothing here turns gradients off unless `SamplerConfig` asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

from gradprobe.selftest.exponential import karras_sigmas, log_step, one_point, two_point
from gradprobe.stage_marks import tap

Denoiser = Callable[[Tensor, float], Tensor]
Solver = Literal["1euler", "2ab", "2mid"]
StepNoise = Literal["off", "from_z0", "fresh"]

_GOLDEN = (math.sqrt(5) - 1) / 2
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How to sample. Noise levels are in the units of the data's standard deviation.

    `learn_noise` off makes the sampler ignore z0's values and draw its own start state;
    `learn_start` off does so for the start state alone, so that z0 enters by the step noise only.
    `step_noise` is `off`, `from_z0` (see `noise_from`) or `fresh` (independent of z0); EDM's churn
    happens only when it is on. `allow_grad` off runs everything under `torch.no_grad`.
    """

    num_steps: int = 4
    sigma_max: float = 5.0
    sigma_min: float = 0.5
    rho: float = 3.0
    solver: Solver = "1euler"
    step_noise: StepNoise = "off"
    s_churn: float = 0.0
    s_min: float = 0.0
    s_max: float = math.inf
    s_noise: float = 1.0
    learn_noise: bool = True
    learn_start: bool = True
    allow_grad: bool = True

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps is {self.num_steps}: give at least 1")
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"sigmas {self.sigma_min}, {self.sigma_max}: need 0 < min < max")
        if self.rho <= 0 or self.s_churn < 0:
            raise ValueError(f"rho {self.rho}, s_churn {self.s_churn}: need rho > 0, s_churn >= 0")
        if self.solver not in get_args(Solver):
            raise ValueError(f"unknown solver {self.solver!r}: use {', '.join(get_args(Solver))}")
        if self.step_noise not in get_args(StepNoise):
            known = ", ".join(get_args(StepNoise))
            raise ValueError(f"unknown step_noise {self.step_noise!r}: use {known}")

    def sigmas(self) -> list[float]:
        """The `num_steps + 1` noise levels, highest first."""
        return karras_sigmas(self.num_steps, self.sigma_max, self.sigma_min, self.rho)

    def churned(self, sigma: float) -> float:
        """The noise level to which a step that starts at `sigma` first goes back up."""
        if self.step_noise == "off" or not self.s_min <= sigma <= self.s_max:
            return sigma
        return sigma * (1 + min(self.s_churn / self.num_steps, math.sqrt(2) - 1))

    def noise_scale(self, sigma: float) -> float:
        """The factor before the step noise; exactly 0 where the churn is 0."""
        return self.s_noise * math.sqrt(self.churned(sigma) ** 2 - sigma**2)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run gives: the `output`, and as `anchor` the z0 that entered it (None: none did)."""

    output: Tensor
    anchor: Tensor | None


def noise_from(z0: Tensor, step: int) -> Tensor:
    """Noise for `step`, derived differentiably from `z0` (N, ...), of the same shape.

    Each sample is rolled by a distance of its own for every step (multiples of the golden ratio
    stay far apart), then brought back to mean 0 and variance 1. Samples of a batch never mix.
    """
    flat = z0.flatten(1)
    size = flat.shape[1]
    rolled = flat.roll(1 + int(size * ((step + 1) * _GOLDEN % 1.0)) % size, dims=1)
    centred = rolled - rolled.mean(dim=1, keepdim=True)
    variance = centred.square().mean(dim=1, keepdim=True)
    return (centred * (variance + _LEAST_VARIANCE).rsqrt()).view_as(z0)


def sample(
    denoiser: Denoiser, z0: Tensor, config: SamplerConfig, generator: torch.Generator | None = None
) -> Sample:
    """Sample from unit noise `z0` (N, ...) with `denoiser(x, sigma) -> denoised`, same shape.

    `generator` feeds the noise that does not come from z0. The number of denoiser calls is
    `num_steps + 1`; `2mid` makes `2 * num_steps + 1`.

    `2ab` takes a one-point step where there is no step before, and where churn lifted the state:
    the earlier answer then belongs to another path, and its slope would be mostly noise.
    """
    with nullcontext() if config.allow_grad else torch.no_grad():
        return _sample(denoiser, z0, config, generator)


def _sample(
    denoiser: Denoiser, z0: Tensor, config: SamplerConfig, generator: torch.Generator | None
) -> Sample:
    use_start = config.learn_noise and config.learn_start
    use_steps = config.learn_noise and config.step_noise == "from_z0"
    start = z0 if use_start else _fresh(z0, generator)
    x = config.sigma_max * start
    tap("start_state", x, sigma=config.sigma_max)

    earlier: tuple[float, Tensor] | None = None  # noise level and denoised of the step before
    for step, (level, target) in enumerate(pairwise(config.sigmas())):
        sigma = config.churned(level)
        if config.step_noise != "off":
            eps = noise_from(z0, step) if use_steps else _fresh(z0, generator)
            x = x + config.noise_scale(level) * tap("step_noise", eps, step, level)
        denoised = tap("denoised_output", denoiser(x, sigma), step, sigma)
        h = log_step(sigma, target)
        if config.solver == "2mid":
            middle = math.sqrt(sigma * target)
            halfway = denoiser(one_point(x, denoised, h / 2), middle)
            x = two_point(x, denoised, tap("denoised_output", halfway, step, middle), h, c2=0.5)
        elif config.solver == "2ab" and earlier is not None and sigma == level:
            x = two_point(x, denoised, earlier[1], h, c2=-log_step(earlier[0], sigma) / h)
        else:
            x = one_point(x, denoised, h)
        earlier = (sigma, denoised)

    output = tap("final_output", denoiser(x, config.sigma_min), sigma=config.sigma_min)
    return Sample(output, z0 if use_start or use_steps else None)


def _fresh(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
