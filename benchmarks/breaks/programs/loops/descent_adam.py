"""z0 itself is optimised, by Adam, through a sampler that is written here."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1))
model.requires_grad_(False)
target = torch.randn(1, 3, 6, 6)
z0 = torch.randn(1, 3, 6, 6, requires_grad=True)
start = z0.detach().clone()
optimizer = torch.optim.Adam([z0], lr=0.05)
losses = []
for _ in range(3):
    optimizer.zero_grad()
    x = z0 * 3.0
    for sigma in (3.0, 1.0, 0.3):
        denoised = model(x) * 0.5
        d = (x - denoised) / sigma
        x = x - 0.6 * sigma * d
    loss = (x - target).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
