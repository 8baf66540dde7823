"""Composite ops written in Python: torch's own, and one of the program's that torch overrides."""

import sys

import torch
import torch.nn.functional as F
from _around import Denoiser, loss_on, noise, sample
from torch.overrides import handle_torch_function, has_torch_function_unary

which = sys.argv[1]
model = Denoiser()


def blend(x):
    if has_torch_function_unary(x):
        return handle_torch_function(blend, (x,), x)
    return x.tanh() + x.detach().tanh()  # CULPRIT


def denoise(x, sigma):
    clean = model(x, sigma)
    clean = clean.tanh() * 2 if which == "healthy" else blend(clean)
    weights = F.gumbel_softmax(clean, tau=2.0, dim=-1)
    attended, _ = F.multi_head_attention_forward(
        clean, clean, clean, 6, 2, torch.eye(6).repeat(3, 1), None, None, None, False, 0.0,
        torch.eye(6), None, need_weights=False,
    )  # fmt: skip
    return clean + torch.einsum("bi,bi->bi", weights, attended)


def loss_of(z):
    torch.manual_seed(3)
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
