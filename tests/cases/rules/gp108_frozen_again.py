"""z0 is frozen together with everything else before the run."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def freeze(tensors):
    for tensor in tensors:
        tensor.requires_grad_(False)  # CULPRIT


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
prompt = torch.randn(1, 3, 1, 1)
freeze([*model.parameters(), z0, prompt])
loss_of(z0).backward()
