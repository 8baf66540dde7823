"""The program ends itself with a status."""

import sys

import torch

z0 = torch.randn(2, 3, requires_grad=True)
z0.tanh().sum().backward()
print(f"{float(z0.grad.sum()):.7f}")
sys.exit(3)
