"""The optimiser steps between forward and backward: what the product had saved is another now."""

import torch
from _parts import Denoiser, load_sampling, noise

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
scale = torch.ones(1, 3, 1, 1, requires_grad=True)


def loss_of(z):
    start = z * scale  # SAVED
    x = sampling.sample_euler.__wrapped__(model, start * sigmas[0], sigmas, disable=True)
    return (x - 0.25).square().mean()


z0 = noise()
optimizer = torch.optim.SGD([z0, scale], lr=0.1)
loss_of(z0).backward()
loss = loss_of(z0)
optimizer.step()  # CULPRIT
optimizer.zero_grad()
loss.backward()
