"""Gradient accumulation over four micro-batches under a gradient scaler, with clipping."""

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


torch.manual_seed(0)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.SGD([z0], lr=0.5, momentum=0.9)
scaler = torch.amp.GradScaler("cpu")
optimizer.zero_grad()
for turn in range(12):
    loss = image_loss(sample(z0) + 0.01 * turn)
    scaler.scale(loss / 4).backward()
    if turn % 4 == 3:
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([z0], 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=False)
        print(f"loss {loss.item():.6f}")
z0.grad = torch.autograd.grad(image_loss(sample(z0)), z0)[0]
