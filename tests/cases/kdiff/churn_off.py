"""Step noise that is to be learned, in an ancestral sampler with eta = 0: its scale is zero."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sampler = sampling.sample_euler_ancestral.__wrapped__
model = Denoiser()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


def loss_of(z0):
    start = torch.ones(1, 3, 8, 8) * sigmas[0]
    image = sampler(
        model, start, sigmas, disable=True, eta=0.0, noise_sampler=lambda here, there: z0
    )
    return image.pow(2).mean()


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
