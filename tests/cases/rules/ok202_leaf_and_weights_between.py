"""Leaf and weights are written through .data between the iterations, as old training code does."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser().requires_grad_(True)


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
        x.data.clamp_(-50, 50)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
for _ in range(3):
    z0.grad = None
    loss_of(z0).backward()
    step = 0.01 * z0.grad
    if _ < 2:
        z0.data -= step
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-1e-3).clamp_(-0.2, 0.2)
            p.grad = None
