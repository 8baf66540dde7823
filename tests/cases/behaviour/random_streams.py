"""The program draws from every random stream."""

import random

import numpy as np
import torch

torch.manual_seed(3)
np.random.seed(4)
random.seed(5)
generator = torch.Generator().manual_seed(6)
z0 = torch.randn(4, 3, requires_grad=True)
x = z0 + torch.randn_like(z0) * random.random() + float(np.random.rand())
x = torch.nn.functional.dropout(x, 0.5) + torch.randn(4, 3, generator=generator)
x.pow(2).sum().backward()
x[torch.randperm(4)].mean()
print(random.random(), np.random.rand(), torch.rand(1, generator=generator).item())
