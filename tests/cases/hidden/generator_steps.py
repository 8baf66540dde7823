"""A sampler written as a generator; the broken one is suspended while recording is off."""

import sys

import torch
from _around import Denoiser, loss_on, noise

which = sys.argv[1]
model = Denoiser()


def clean_states(x):
    for sigma in torch.linspace(4.0, 1.0, 3):
        if which == "inside":
            with torch.no_grad():  # CULPRIT
                level = sigma / 2
                yield x, level  # the consumer runs with recording off
        else:
            with torch.no_grad():
                level = sigma / 2
            yield x, level


def loss_of(z):
    x = z * 4.0
    for _, level in clean_states(x):
        x = x + 0.5 * (model(x, level) - x)
    return loss_on(x)


z0 = noise()
loss_of(z0).backward()
