"""Gradient descent without an optimiser: z0 written under no_grad and through .data."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - 0.25).square().mean()


z0 = noise()
for number in range(4):
    loss_of(z0).backward()
    gradient, where = z0.grad.clone(), z0.detach().clone()
    if number % 2:
        z0.data -= 0.5 * z0.grad
    else:
        with torch.no_grad():
            z0 -= 0.5 * z0.grad
    z0.grad.zero_()
check(loss_of, z0, gradient, at=where, modules=[model])
