"""torch raises in backward: a saved tensor was overwritten in place."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
x = z0.exp()
x.add_(1)
x.sum().backward()
