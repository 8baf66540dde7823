"""The parts that the samplers of this folder share."""

import torch
from torch import nn


class Denoiser(nn.Module):
    """A random, frozen convolutional net: a noisy image at noise level sigma -> the clean image."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
        )
        self.requires_grad_(False)

    def forward(self, x, sigma):
        keep = 1 / (1 + sigma**2)
        return keep * x + sigma * keep.sqrt() * self.net(x * keep.sqrt())


def noise_levels(steps=4, high=5.0, low=0.5):
    """Noise levels from high to low, one more than steps."""
    return torch.linspace(high, low, steps + 1)


def image_loss(image):
    return (image - 0.25).pow(2).mean()
