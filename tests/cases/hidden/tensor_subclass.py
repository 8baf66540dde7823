"""The state is a tensor subclass with a __torch_function__ of its own."""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


class Latent(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if which == "inside" and func is torch.nn.functional.silu:
            args = tuple(a.detach() for a in args)  # CULPRIT
        return super().__torch_function__(func, types, args, kwargs or {})


def loss_of(z):
    return loss_on(sample(model, z.as_subclass(Latent)))


z0 = noise()
loss_of(z0).backward()
