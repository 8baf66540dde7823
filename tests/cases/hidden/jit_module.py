"""The denoiser is a traced module; in the broken run what was traced holds a detach."""

import sys
import warnings

import torch
from _around import Denoiser, loss_on, noise, sample
from torch import nn

which = sys.argv[1]


class Detaching(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Denoiser()

    def forward(self, x, sigma):
        return self.model(x.detach(), sigma)  # CULPRIT


chosen = Detaching() if which in ("inside", "all") else Denoiser()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    model = torch.jit.trace(chosen, (torch.zeros(2, 6), torch.tensor(1.0)))


def loss_of(z):
    if which == "all":
        return loss_on(model(z * 4.0, torch.tensor(4.0)))
    return loss_on(sample(model, z))


z0 = noise()
loss_of(z0).backward()
