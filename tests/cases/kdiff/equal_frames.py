"""A video's temporal smoothness, as a norm of differences: its derivative is infinite at zero."""

import torch
from _k_diffusion import Denoiser, load_sampling

sampling = load_sampling()
sampler = sampling.sample_euler.__wrapped__
model = Denoiser()
sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)


def loss_of(z0):
    frames = sampler(model, z0.expand(2, -1, -1, -1) * sigmas[0], sigmas, disable=True)
    change = (frames[1:] - frames[:-1]).pow(2).sum(dim=(1, 2, 3))
    return frames.pow(2).mean() + change.sqrt().mean()  # CULPRIT


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
