"""The sampler that the programs of this folder share: Euler steps around a small random net."""

import torch
from torch import nn


class Denoiser(nn.Module):
    """A random, frozen net: a state of shape (2, 6) at noise level sigma -> the clean state."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 6))
        self.requires_grad_(False)

    def forward(self, x, sigma):
        keep = 1 / (1 + sigma**2)
        return keep * x + sigma * keep.sqrt() * self.net(x * keep.sqrt())


def noise():
    """The initial noise: a leaf that wants its gradient."""
    torch.manual_seed(0)
    return torch.randn(2, 6, requires_grad=True)


def sample(denoise, z, steps=2):
    """Euler steps from noise level 4 to 0.5; `denoise(x, sigma)` gives the clean state."""
    sigmas = torch.linspace(4.0, 0.5, steps + 1).to(z.dtype)
    x = z * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - denoise(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_on(x):
    return (x - 0.25).square().mean()
