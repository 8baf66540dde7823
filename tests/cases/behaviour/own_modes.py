"""The program runs under modes of its own: function modes, dispatch modes, a default device."""

from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

calls = Counter()


class Names(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        calls[getattr(func, "__name__", str(func))] += 1
        return func(*args, **(kwargs or {}))


class Kernels(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        calls[str(func)] += 1
        return func(*args, **(kwargs or {}))


torch.manual_seed(0)
z0 = torch.randn(2, 3, requires_grad=True)
with Names(), torch.device("cpu"):
    x = z0 * torch.linspace(0, 1, 3)
    with Kernels():
        x = (x + torch.ones(3)).tanh()
x.sum().backward()
for name, count in sorted(calls.items()):
    print(name, count)
