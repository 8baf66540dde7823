"""Layers that learn their sizes at the first call, and a judge that is trained beside z0."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check
from torch import nn

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
torch.manual_seed(2)
judge = nn.Sequential(nn.LazyConv2d(8, 3), nn.SiLU(), nn.Flatten(), nn.LazyLinear(1))


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return judge(x).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model, judge])
