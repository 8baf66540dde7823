"""The optimiser steps in backward: each gradient is dropped as soon as it was used."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        x = x + (x - model(x, here)) / here * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizers = {z0: torch.optim.Adam([z0], lr=0.1)}


def update(parameter):
    optimizers[parameter].step()
    optimizers[parameter].zero_grad()


handle = z0.register_post_accumulate_grad_hook(update)
for _ in range(2):
    loss_of(z0).backward()
handle.remove()
loss_of(z0).backward()
