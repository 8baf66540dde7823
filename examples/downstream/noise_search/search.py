"""The search itself: gradient ascent on the noise, kept at the length that noise has."""

from collections.abc import Callable

import torch
from torch import Tensor


def search(
    sampler: Callable[[Tensor], Tensor],
    score: Callable[[Tensor], Tensor],
    z0: Tensor,
    rounds: int = 3,
    rate: float = 0.1,
) -> Tensor:
    """Noise near `z0` whose sample scores higher; `z0` itself is left alone."""
    z0 = z0.detach().clone().requires_grad_()
    length = z0.detach().norm()
    optimizer = torch.optim.Adam([z0], lr=rate)
    for _ in range(rounds):
        optimizer.zero_grad()
        loss = -score(sampler(z0)).mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            z0.mul_(length / z0.norm())
    return z0.detach()
