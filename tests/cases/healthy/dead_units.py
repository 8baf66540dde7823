"""A ReLU network with many dead units: zero gradient in them, not in what passes beside."""

import torch
from _parts import load_sampling, noise
from _right import check
from torch import nn

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
torch.manual_seed(1)
net = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 3, 1)
).requires_grad_(False)
net[0].bias[:6] = -1e4  # dead for every input
net[2].bias[3:9] = -1e4


def denoise(x, sigma, **kwargs):
    return net(x / (1 + sigma.view(-1, 1, 1, 1) ** 2).sqrt())


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(denoise, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[net], step=1e-6)
