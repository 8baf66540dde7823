"""z0 in double, a model in float: one cast to and one from it at every step."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(4, 0.1, 2.0).double()
kind = torch.float32


def denoise(x, sigma, **kwargs):
    return model(x.to(kind), sigma.to(kind)).to(torch.float64)


def loss_of(z):
    x = sampling.sample_dpmpp_2m.__wrapped__(denoise, z * sigmas[0], sigmas, disable=True)
    return (x - 0.25).square().mean()


z0 = noise(dtype=torch.float64)
loss_of(z0).backward()
kind = torch.float64
check(loss_of, z0, modules=[model])
