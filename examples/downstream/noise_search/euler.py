"""Euler's method over a schedule of noise levels, differentiable in the starting noise."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def noise_levels(steps: int, low: float = 0.1, high: float = 10.0, rho: float = 7.0) -> Tensor:
    """`steps` levels from `high` down to `low`, close together where they are small, then zero."""
    ramp = torch.linspace(0.0, 1.0, steps)
    levels = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def euler(
    denoiser: Callable[[Tensor, Tensor], Tensor],
    z0: Tensor,
    sigmas: Tensor,
    churn: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The sample that `denoiser` makes of `z0` (B, ...), same shape.

    With `churn`, fresh noise of that part of the level is added before each step but the last, and
    the level rises with it.
    """
    x = sigmas[0] * z0
    for sigma, following in pairwise(sigmas):
        if churn and following > 0:
            raised = sigma * (1.0 + churn)
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = x + (raised**2 - sigma**2).sqrt() * noise
            sigma = raised
        denoised = denoiser(x, sigma)
        slope = (x - denoised) / sigma
        x = x + (following - sigma) * slope
    return x
