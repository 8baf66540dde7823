"""A wrapper subclass with a __torch_dispatch__ of its own, as quantised and sharded tensors are."""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample
from torch.utils._pytree import tree_map

which = sys.argv[1]
model = Denoiser()


class Wrapped(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device=inner.device
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        def take(t):
            return t.inner if isinstance(t, Wrapped) else t

        out = func(*tree_map(take, args), **tree_map(take, kwargs or {}))
        return tree_map(lambda t: Wrapped(t) if isinstance(t, torch.Tensor) else t, out)


class Wrap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return Wrapped(x)

    @staticmethod
    def backward(ctx, grad):
        return grad.inner if isinstance(grad, Wrapped) else grad


class Unwrap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.inner

    @staticmethod
    def backward(ctx, grad):
        return Wrapped(grad)


def denoise(x, sigma):
    clean = model.net(Wrap.apply(x))
    if which == "inside":
        return clean.inner  # CULPRIT
    return Unwrap.apply(clean)


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
