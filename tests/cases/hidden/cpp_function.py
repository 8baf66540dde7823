"""A function of a C++ extension: no function mode sees its ops.

A compiler takes half a minute for torch's headers; the call below takes torch functions away in
the same way, which is what C++ code does that calls ATen.
"""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


def in_cpp(function, *arguments):
    with torch._C.DisableTorchFunction():
        return function(*arguments)


def smooth(x):
    return x.tanh() * 2


def smooth_detached(x):
    return x.detach().tanh() * 2  # CULPRIT


def denoise(x, sigma):
    clean = model(x, sigma)
    return in_cpp(smooth_detached if which in ("inside", "all") else smooth, clean)


def loss_of(z):
    if which == "all":
        return loss_on(denoise(z * 4.0, torch.tensor(4.0)))
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
