"""The program leaves a function mode entered when it ends with an error."""

import torch
from torch.overrides import TorchFunctionMode


class Passing(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


z0 = torch.randn(2, 3, requires_grad=True)
with Passing():
    x = z0.tanh()
    with torch.no_grad():
        raise KeyError("left in the middle")
