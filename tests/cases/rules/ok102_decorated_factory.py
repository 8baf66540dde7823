"""A decorated factory is harmless: the sampler that it builds runs later, with grad on."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


@torch.no_grad()
def make_sampler(steps):
    sigmas = noise_levels(steps)

    def euler(z0):
        x = z0 * sigmas[0]
        for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
            slope = (x - model(x, here)) / here
            x = x + slope * (there - here)
        return x

    return euler


sample = make_sampler(4)


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
loss_of(z0).backward()
