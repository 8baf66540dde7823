"""Noise that a stochastic sampler adds, in proportion to the state, by a number of Python's."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)
model = Denoiser()


def loss_of(z0):
    torch.manual_seed(2)
    x = z0 * sigmas[0]
    steps = list(zip(sigmas[:-1], sigmas[1:], strict=True))
    for here, there in steps:
        slope = sampling.to_d(x, here, model(x, here[None]))
        x = x + slope * (there - here)
        noise = 0.25 * float(x.std()) + 0.01  # CULPRIT
        x = x + noise * torch.randn_like(x)
    return x.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
