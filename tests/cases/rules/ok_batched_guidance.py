"""Classifier-free guidance in one batch, with rescaling."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()

label = torch.full((1, 3, 1, 1), 0.4)


def guided(x, sigma, scale=3.0):
    unconditional, conditional = model(torch.cat([x, x + label]), sigma).chunk(2)
    mixed = torch.lerp(unconditional, conditional, scale)
    factor = conditional.std(dim=(1, 2, 3), keepdim=True) / mixed.std(dim=(1, 2, 3), keepdim=True)
    return 0.7 * mixed * factor + 0.3 * mixed


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - guided(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
