"""Both guidance branches run in a thread pool."""

import sys
from concurrent.futures import ThreadPoolExecutor

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()
pool = ThreadPoolExecutor(2)


@torch.no_grad()  # CULPRIT
def unconditional(x, sigma):
    return model(x, sigma)


def denoise(x, sigma):
    first = pool.submit(model, x, sigma)
    second = pool.submit(unconditional if which == "inside" else model, 0.5 * x, sigma)
    plain, conditional = first.result(), second.result()
    return plain + 2.0 * (conditional - plain)


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
