"""The noise and a prompt embedding are optimised together."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0, prompt):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x + prompt, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0, prompt))


torch.manual_seed(0)
prompt = torch.zeros(1, 3, 1, 1, requires_grad=True)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.SGD([prompt, z0], lr=0.1)
loss_of(z0).backward()
