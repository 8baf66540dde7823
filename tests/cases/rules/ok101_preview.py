"""Sampler that keeps detached previews and logs statistics of its state."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()
previews = []


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        denoised = model(x, here)
        previews.append(denoised.detach().clamp(-1, 1))
        print(f"sigma {float(here):.2f} std {x.detach().std().item():.4f}")
        slope = (x - denoised) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
