"""Pixels are normalised over their channels with eps=0, where a mask has made some exactly 0."""

import torch
from _parts import Denoiser, load_sampling, noise

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
mask = torch.ones(1, 1, 8, 8)
mask[..., 0] = 0


def loss_of(z):
    x = sampling.sample_dpmpp_2m.__wrapped__(model, z * sigmas[0], sigmas, disable=True) * mask
    unit = torch.nn.functional.normalize(x, dim=1, eps=0)  # CULPRIT
    return torch.where(mask > 0, unit, 0.0)[:, 0].mean()


z0 = noise()
loss_of(z0).backward()
