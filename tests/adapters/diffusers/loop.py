"""A sampling loop over a diffusers scheduler, as people write it by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    """A small random network of a sample and a timestep."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0.1 * x + self.inner(x).tanh() * (1 + 1e-4 * t.to(x.dtype))


@dataclass
class Moved:
    """What one call of a scheduler's `step` was given and gave back."""

    sample: Tensor
    model_output: Tensor
    prev_sample: Tensor


@dataclass
class Run:
    """A run of the loop: its result, the gradient of its first noise, and each update."""

    image: Tensor
    grad: Tensor
    moves: list[Moved] = field(default_factory=list)


def leaf(dtype: torch.dtype = torch.float32) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(1, 3, 4, 4).to(dtype).requires_grad_()


def sample(scheduler: Any, z0: Tensor, options: dict[str, Any], timesteps: Sequence[Tensor]) -> Run:
    denoiser = Denoiser().to(z0.dtype)
    torch.manual_seed(3)
    moves = list(_moves(scheduler, denoiser, z0, options, timesteps))
    image = moves[-1].prev_sample
    image.square().mean().backward()
    assert z0.grad is not None
    return Run(image.detach(), z0.grad, moves)


def _moves(
    scheduler: Any,
    denoiser: Denoiser,
    z0: Tensor,
    options: dict[str, Any],
    timesteps: Sequence[Tensor],
) -> Iterator[Moved]:
    x = z0 * getattr(scheduler, "init_noise_sigma", 1.0)
    for t in timesteps:
        taken = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = denoiser(taken, t)
        before, x = x, scheduler.step(output, t, x, **options).prev_sample
        yield Moved(before, output, x)
