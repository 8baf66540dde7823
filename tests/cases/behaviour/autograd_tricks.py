"""Functional autograd: jacobian, hessian, jvp, vmap, a custom Function with setup_context."""

import torch
from torch.autograd import forward_ad
from torch.func import jacrev, jvp, vmap


class Cube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


def f(x):
    return Cube.apply(x).sum() + x.sin().sum()


torch.manual_seed(0)
z0 = torch.randn(3, requires_grad=True)
print(torch.autograd.functional.jacobian(f, z0).tolist())
print(torch.autograd.functional.hessian(lambda x: x.pow(3).sum(), z0).tolist())
print(jacrev(lambda x: x.tanh())(z0.detach()).tolist())
print(jvp(torch.sin, (z0.detach(),), (torch.ones(3),))[1].tolist())
print(vmap(lambda x: Cube.apply(x) * 2)(z0.detach()).tolist())
with forward_ad.dual_level():
    dual = forward_ad.make_dual(z0.detach(), torch.ones(3))
    print(forward_ad.unpack_dual(dual.exp()).tangent.tolist())
f(z0).backward()
