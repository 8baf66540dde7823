"""Gradient descent by hand: under no_grad, through .data, and by a new leaf."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    loss = image_loss(sample(z0))
    print(f"loss {loss.item():.6f}")
    return loss


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
for _ in range(2):
    loss_of(z0).backward()
    with torch.no_grad():
        z0 -= 0.5 * z0.grad
        z0.grad.zero_()
for _ in range(2):
    loss_of(z0).backward()
    z0.data -= 0.5 * z0.grad
    z0.grad = None
for _ in range(2):
    loss_of(z0).backward()
    z0 = (z0 - 0.5 * z0.grad).detach().requires_grad_()
loss_of(z0).backward()
