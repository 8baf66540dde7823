"""A kernel outside torch fills a buffer through its address, as a Triton kernel does."""

import ctypes
import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


def launch(x, out):
    ctypes.memmove(out.data_ptr(), x.data_ptr(), x.numel() * x.element_size())


def denoise(x, sigma):
    clean = model(x, sigma)
    if which == "healthy":
        shown = torch.empty_like(clean)
        launch(clean, shown)
        print(float(shown.mean()) != 0.0)
        return clean
    out = torch.empty_like(clean)  # CULPRIT
    launch(clean, out)
    return out


def loss_of(z):
    if which == "all":
        return loss_on(denoise(z * 4.0, torch.tensor(4.0)))
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
