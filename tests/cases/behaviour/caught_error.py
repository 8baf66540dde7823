"""The program catches torch's error, and goes on inside its own handler."""

import torch

torch.manual_seed(0)
z0 = torch.randn(2, 3, requires_grad=True)
x = z0.exp()
x.add_(1)
try:
    x.sum().backward()
except RuntimeError as error:
    print(type(error).__name__, str(error).splitlines()[0][:60])
    z0.exp().sum().backward()
print(z0.grad.tolist())
