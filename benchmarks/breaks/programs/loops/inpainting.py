"""Ancestral steps that keep a part of a known image, written into the state by a mask."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))
model.requires_grad_(False)
known, target = torch.randn(2, 1, 3, 6, 6)
mask = torch.zeros(1, 1, 6, 6)
mask[..., :3] = 1.0
sigmas = [5.0, 2.0, 0.8, 0.3]
z0 = torch.randn(1, 3, 6, 6, requires_grad=True)

x = z0 * sigmas[0]
for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
    scaled = x * (1 + sigma**2) ** -0.5
    denoised = 0.2 * x + model(scaled)
    d = (x - denoised) / sigma
    down = 0.8 * following
    x = x + d * (down - sigma)
    x = x + torch.randn_like(x) * 0.6 * following
    behind = known + following * torch.randn_like(known)
    x = mask * behind + (1 - mask) * x
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
