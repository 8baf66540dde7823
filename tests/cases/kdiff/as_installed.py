"""A k-diffusion sampler called as installed, with its decorator."""

import sys

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sampler = getattr(sampling, sys.argv[1])
model = Denoiser()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


def loss_of(z0):
    torch.manual_seed(2)
    return sampler(model, z0 * sigmas[0], sigmas, disable=True).pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
