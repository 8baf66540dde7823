"""An ancestral sampler: fresh noise is added at every step beside the live state."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (0.8 * there - here)
        x = x + torch.randn_like(x) * 0.6 * there
    return x


def loss_of(z0):
    torch.manual_seed(3)
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
