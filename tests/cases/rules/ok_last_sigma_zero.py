"""Euler sampler whose last noise level is exactly zero."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = torch.cat([noise_levels(), torch.zeros(1)])
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        denoised = model(x, here)
        ratio = there / here
        x = ratio * x + (1 - ratio) * denoised
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
