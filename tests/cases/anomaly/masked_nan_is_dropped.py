"""NaN is born under a mask and relu's backward drops it: z0's gradient is finite, and right."""

import torch
from _parts import Denoiser, load_sampling, noise

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas, disable=True)
    share = torch.relu(x)
    return -torch.where(share > 0, share * share.log(), 0.0).sum()


z0 = noise()
loss_of(z0).backward()
