"""The noise levels come from a generator that yields inside no_grad, so its consumer lacks grad."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def schedule():
    with torch.no_grad():  # CULPRIT
        sigmas = noise_levels()
        yield from zip(sigmas[:-1], sigmas[1:], strict=True)


def sample(z0):
    x = z0 * 5.0
    for here, there in schedule():
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
