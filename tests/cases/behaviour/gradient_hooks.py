"""Gradient hooks of every kind, with what the program can see of them before and after."""

import copy
import pickle
import warnings

import torch
from torch import nn

warnings.simplefilter("always")
seen = []


def half(*args):
    given = args[1] if isinstance(args[0], nn.Module) else args[0]
    seen.append(args)
    return tuple(g * 0.5 for g in given) if isinstance(given, tuple) else given * 0.5


def once(grad):
    handles[0].remove()


def keep(parameter):
    seen.append(parameter.grad.clone())
    parameter.grad = None


torch.manual_seed(0)
z0 = torch.randn(3, 4, requires_grad=True)
block = nn.Sequential(nn.Linear(4, 4), nn.SiLU())
block[0].register_full_backward_hook(half)
block.register_full_backward_pre_hook(half)
block[0].weight.register_post_accumulate_grad_hook(keep)
for turn in range(2):
    x = z0 * 2
    handles = [x.register_hook(once), x.register_hook(half)]
    y = block(x.exp())
    y.grad_fn.register_prehook(half)
    y.grad_fn.register_hook(half)
    torch.autograd.graph.register_multi_grad_hook((x, y), lambda grads: seen.append(grads))
    print(list(x._backward_hooks.values()) == [once, half, *list(x._backward_hooks.values())[2:]])
    y.sum().backward(retain_graph=turn == 0)
    print(len(x._backward_hooks), len(block[0].weight._post_accumulate_grad_hooks))
    print(len(block[0]._backward_hooks), len(block._backward_pre_hooks))
pickle.dumps(z0)
copy.deepcopy(block)
try:
    z0.register_hook(lambda g: g[:1])
    z0.sum().backward()
except RuntimeError as error:
    print(error)
