"""Only the last steps are optimised: the leaf is made after a warm-up under no_grad."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def step(x, here, there):
    slope = (x - model(x, here)) / here
    return x + slope * (there - here)


def loss_of(z0):
    for here, there in pairs[2:]:
        z0 = step(z0, here, there)
    return image_loss(z0)


torch.manual_seed(0)
sigmas = noise_levels()
pairs = list(zip(sigmas[:-1], sigmas[1:], strict=True))
x = torch.randn(1, 3, 8, 8) * sigmas[0]
with torch.no_grad():
    for here, there in pairs[:2]:
        x = step(x, here, there)
z0 = x.clone().requires_grad_()
loss_of(z0).backward()
