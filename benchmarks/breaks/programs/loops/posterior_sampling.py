"""Steps that are guided by the gradient of a measurement (DPS), kept in the graph."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 6))
model.requires_grad_(False)
operator = torch.randn(6, 3)
measured = torch.randn(2, 3)
target = torch.randn(2, 6)
z0 = torch.randn(2, 6, requires_grad=True)

x = z0 * 2.0
for sigma in (2.0, 1.0, 0.5):
    clean = model(x)
    residual = (measured - clean @ operator).square().sum()
    push = torch.autograd.grad(residual, x, create_graph=True)[0]
    d = (x - clean) / sigma
    x = x - 0.5 * sigma * d - 0.05 * push
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
