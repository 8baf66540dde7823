"""Guidance: the gradient of an energy of the state, by torch.func.grad."""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


def energy(x, sigma):
    clean = model(x, sigma)
    if which == "inside":
        clean = clean.detach()  # CULPRIT
    return (x - 2 * clean).square().sum()


def denoise(x, sigma):
    return model(x, sigma) - 0.1 * torch.func.grad(energy)(x, sigma)


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
