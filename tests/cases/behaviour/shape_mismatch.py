"""torch raises in the forward."""

import torch

z0 = torch.randn(2, 3, requires_grad=True)
weight = torch.randn(4, 5)
(z0 @ weight).sum().backward()
