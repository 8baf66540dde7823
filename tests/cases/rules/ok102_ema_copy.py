"""A running average of the optimised noise, kept under no_grad beside the run."""

import copy

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()
shadow = copy.deepcopy(model)


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


@torch.no_grad()
def update(shadow, model, average, z0, decay=0.9):
    for mean, live in zip(shadow.parameters(), model.parameters(), strict=True):
        mean.lerp_(live, 1 - decay)
    average.mul_(decay).add_(z0, alpha=1 - decay)


def loss_of(z0):
    average = torch.zeros_like(z0)
    update(shadow, model, average, z0)
    loss = image_loss(sample(z0))
    update(shadow, model, average, z0)
    return loss


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
