"""Sampler class whose public method is decorated with no_grad, two decorators deep."""

import functools

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def timed(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class Sampler:
    def __init__(self, model):
        self.model = model

    @timed
    @torch.no_grad()  # CULPRIT
    def run(self, z0, steps=4):
        sigmas = noise_levels(steps)
        x = z0 * sigmas[0]
        for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
            slope = (x - self.model(x, here)) / here
            x = x + slope * (there - here)
        return x


def sample(z0):
    return Sampler(model).run(z0)


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
