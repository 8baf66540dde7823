"""Each denoiser call is checkpointed: with reentry in one run, without in the others."""

import sys

from _around import Denoiser, loss_on, noise, sample
from torch.utils.checkpoint import checkpoint

which = sys.argv[1]
model = Denoiser()


def inner(x, sigma):
    clean = model(x, sigma)
    if which.endswith("inside"):
        clean = clean.detach()  # CULPRIT
    return clean + 0.1 * x


def denoise(x, sigma):
    return checkpoint(inner, x, sigma, use_reentrant=which.startswith("reentrant"))


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
