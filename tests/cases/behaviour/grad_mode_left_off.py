"""The program ends with gradients switched off for good."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
z0.tanh().sum().backward()
torch.set_grad_enabled(False)
print(torch.is_grad_enabled(), z0.tanh().requires_grad)
