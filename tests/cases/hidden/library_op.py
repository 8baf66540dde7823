"""An op of a torch.library.Library that is composed of torch's own ops."""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()
library = torch.library.Library("hidden_ops", "DEF")
library.define("composite(Tensor x) -> Tensor")
library.define("composite_detached(Tensor x) -> Tensor")
library.impl("composite", lambda x: x.tanh() * 2, "CompositeImplicitAutograd")
library.impl(
    "composite_detached",
    lambda x: x.tanh() + x.detach().tanh(),  # CULPRIT
    "CompositeImplicitAutograd",
)


def denoise(x, sigma):
    clean = model(x, sigma)
    if which == "inside":
        return torch.ops.hidden_ops.composite_detached(clean)
    return torch.ops.hidden_ops.composite(clean)


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
