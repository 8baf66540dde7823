"""z0 is optimised by SGD with momentum; its norm is held by a penalty."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 6))
target = torch.randn(2, 6)
z0 = torch.randn(2, 6, requires_grad=True)
start = z0.detach().clone()
optimizer = torch.optim.SGD([z0], lr=0.1, momentum=0.9)
losses = []
for _ in range(3):
    x = z0 * 1.0
    for _ in range(4):
        velocity = model(x)
        x = x + velocity / 4
    penalty = (x.norm() - target.norm()).square()
    loss = (x - target).square().mean() + 1e-3 * penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
