"""A .to that changes nothing returns the leaf itself; retain_grad keeps a product's gradient."""

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


def loss_of(z0):
    scaled = z0 * 1.0
    scaled.retain_grad()
    loss = image_loss(sample(scaled))
    loss.backward()
    print(f"norm {float(scaled.grad.norm()):.6f}")
    return loss


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True).to(torch.float32).to("cpu")
loss_of(z0)
