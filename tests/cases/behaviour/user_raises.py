"""The program raises an error of its own in the middle of sampling."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
x = z0 * 2
for step in range(4):
    x = x.tanh()
    if step == 2:
        raise ValueError(f"bad step {step}: {tuple(x.shape)}")
