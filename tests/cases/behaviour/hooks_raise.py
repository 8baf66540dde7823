"""A gradient hook of the program raises in backward."""

import torch


def refuse(grad):
    raise LookupError("no gradient for you")


z0 = torch.randn(2, 3, requires_grad=True)
x = z0 * 2
x.register_hook(refuse)
x.sum().backward()
