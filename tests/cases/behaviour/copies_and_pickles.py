"""Tensors and models are copied, pickled, printed and compared."""

import copy
import io

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(3, 3)
twin = copy.deepcopy(net)
buffer = io.BytesIO()
torch.save(net.state_dict(), buffer)
buffer.seek(0)
twin.load_state_dict(torch.load(buffer))
z0 = torch.randn(2, 3, requires_grad=True)
again = copy.deepcopy(z0)
x = twin(z0)
view = x[:, 1:]
print(view, view.grad_fn is not None, repr(z0), x.shape, torch.equal(z0, again))
assert not (x == x + 1).any()
x.mul_(2)
print(view._version, type(view.grad_fn).__name__)
x.sum().backward()
