"""torch.library ops: one with an autograd formula, one without."""

import sys

import torch
from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


@torch.library.custom_op("hidden::soften", mutates_args=())
def soften(x: torch.Tensor, by: float) -> torch.Tensor:
    return x.tanh() * by


@torch.library.custom_op("hidden::soften_with_grad", mutates_args=())
def soften_with_grad(x: torch.Tensor, by: float) -> torch.Tensor:
    return x.tanh() * by


def backward(ctx, grad):
    return grad * (1 - ctx.saved_tensors[0].tanh().square()) * ctx.by, None


def keep(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])
    ctx.by = inputs[1]


soften_with_grad.register_autograd(backward, setup_context=keep)


def denoise(x, sigma):
    clean = model(x, sigma)
    if which == "inside":
        return soften(clean, 2.0)  # CULPRIT
    return soften_with_grad(clean, 2.0)


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
