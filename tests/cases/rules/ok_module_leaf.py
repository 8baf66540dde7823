"""The latent is a parameter of a small module, as in optimisation frameworks."""

import torch
from _sampling import Denoiser, image_loss, noise_levels
from torch import nn


class NoiseOptimiser(nn.Module):
    def __init__(self, model):
        super().__init__()
        torch.manual_seed(0)
        self.z0 = nn.Parameter(torch.randn(1, 3, 8, 8))
        self.model = model

    def forward(self):
        sigmas = noise_levels()
        x = self.z0 * sigmas[0]
        for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
            slope = (x - self.model(x, here)) / here
            x = x + slope * (there - here)
        return x


optimiser = NoiseOptimiser(Denoiser())
z0 = optimiser.z0
image_loss(optimiser()).backward()
