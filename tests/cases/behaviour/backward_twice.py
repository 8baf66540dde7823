"""torch raises in the second backward: the graph is freed."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
loss = z0.exp().sum()
loss.backward()
loss.backward()
