"""A reentrant checkpoint that is given the state explicitly."""

import torch
from _sampling import Denoiser, image_loss, noise_levels
from torch.utils.checkpoint import checkpoint

model = Denoiser()


def step(x, here, there):
    return x + (x - model(x, here)) / here * (there - here)


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        x = checkpoint(step, x, here, there, use_reentrant=True)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
