"""requires_grad is asked for before a cast: the program's z0 is no leaf."""

import torch
from _sampling import Denoiser, image_loss, noise_levels

model = Denoiser()
model.double()


def sample(z0):
    sigmas = noise_levels()
    x = z0 * sigmas[0]
    for here, there in zip(sigmas[:-1], sigmas[1:], strict=True):
        slope = (x - model(x, here)) / here
        x = x + slope * (there - here)
    return x


def loss_of(z0):
    return image_loss(sample(z0))


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True).to(torch.float64)  # CULPRIT
loss_of(z0).backward()
print("z0.grad", z0.grad)
