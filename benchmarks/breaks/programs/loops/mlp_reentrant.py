"""A flow over a small network, each step in a checkpoint of the reentrant kind."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 24), nn.SiLU(), nn.Linear(24, 6))
target = torch.randn(4, 6)


def velocity(x: Tensor) -> Tensor:
    return net(x) - 0.2 * x


z0 = torch.randn(4, 6, requires_grad=True)
x = z0 * 2.0
for _ in range(4):
    v = checkpoint(velocity, x, use_reentrant=True)
    step = 0.25 * v
    x = x + step
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
