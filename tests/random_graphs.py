"""Random autograd graphs, of ops whose nodes differ in how they are drawn.

Every tensor of the pool is 3 x 3, so that any op takes any of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


class Product(torch.autograd.Function):
    """Saves its inputs, and puts attributes on its node."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx._saved_factor = 2.5
        ctx._saved_other = y
        ctx.note = "not shown"
        return x * y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, y = ctx.saved_tensors
        return grads[0] * y, grads[0] * x


class Exponential(torch.autograd.Function):
    """Saves what it returns; has two outputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.exp()
        ctx.save_for_backward(y)
        return y, x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * ctx.saved_tensors[0] + grads[1]


class Plain(torch.autograd.Function):
    """Saves nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0]


class InPlace(torch.autograd.Function):
    """Writes its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.add_(1.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0]


Made = Tensor | tuple[Tensor, ...] | list[Tensor]
_CONSTANT = torch.arange(9.0).reshape(3, 3)
_MASK = torch.eye(3, dtype=torch.bool)


def _writable(x: Tensor) -> Tensor:
    return x * 1.0  # MulBackward0 with a number saves no tensor that a write could spoil


def _tracked(x: Tensor) -> Tensor:
    return x if x.requires_grad else x.clone().requires_grad_()


# From two tensors of 3 x 3 to some of 3 x 3.
OPS: dict[str, Callable[[Tensor, Tensor], Made]] = {
    "add": lambda a, b: a + b,
    "twice": lambda a, b: a + a,
    "mul": lambda a, b: a * b,
    "square": lambda a, b: a * a,
    "number": lambda a, b: a * 0.5 - 1,
    "exp": lambda a, b: (0.1 * a).exp(),
    "tanh": lambda a, b: a.tanh(),
    "pow": lambda a, b: a.pow(2),
    "clamp": lambda a, b: a.clamp(-1, 1),
    "matmul": lambda a, b: a @ b,
    "addmm": lambda a, b: torch.addmm(a, b, a),
    "einsum": lambda a, b: torch.einsum("ij,jk->ik", a, b),
    "where": lambda a, b: torch.where(a > b, a, b),
    "softmax": lambda a, b: a.softmax(-1),
    "layer_norm": lambda a, b: F.layer_norm(a, (3,), b[0], b[1]),
    "batch_norm": lambda a, b: F.batch_norm(a, torch.zeros(3), torch.ones(3), training=True),
    "conv": lambda a, b: F.conv1d(a[None], b[:, :, None])[0],
    "gather": lambda a, b: a.gather(1, torch.zeros(3, 3, dtype=torch.int64)),
    "index": lambda a, b: a[torch.tensor([2, 0, 1])],
    "masked": lambda a, b: a.masked_fill(_MASK, 0.0),
    "dropout": lambda a, b: F.dropout(a, 0.5),
    "cumsum": lambda a, b: a.cumsum(0),
    "cumprod": lambda a, b: a.cumprod(0),
    "sum": lambda a, b: a.sum(0, keepdim=True) + b,
    "max": lambda a, b: a.max(dim=0, keepdim=True).values + b,
    "std": lambda a, b: a.std() + b,
    "cat": lambda a, b: torch.cat([a[:1], b[1:]]),
    "stack": lambda a, b: torch.stack([a, b, a])[1],
    "pieces": lambda a, b: torch.cat(a.split(1)[::-1]),
    "split": lambda a, b: [piece.expand(3, 3) for piece in a.split(1)],
    "unbind": lambda a, b: [row + b for row in a.unbind()],
    "rows": lambda a, b: torch.stack([*a.unbind(1)[:2], b[0]]),
    "chunk": lambda a, b: [half @ half.mT for half in a.chunk(2, 1)],
    "sort": lambda a, b: a.sort(dim=0).values,
    "topk": lambda a, b: a.topk(3, dim=1)[0],
    "qr": lambda a, b: tuple(torch.linalg.qr(a + 5 * torch.eye(3))),
    "slogdet": lambda a, b: a * torch.linalg.slogdet(a + 9 * torch.eye(3)).logabsdet,
    "meshgrid": lambda a, b: torch.meshgrid(a[0], b[1], indexing="ij"),
    "t": lambda a, b: a.t(),
    "view": lambda a, b: a.reshape(9).view(3, 3),
    "slice": lambda a, b: a[0:3],
    "expand": lambda a, b: a[0].expand(3, 3),
    "diagonal": lambda a, b: a.diagonal().diag() + b,
    "detach": lambda a, b: a.detach() + b,
    "alias": lambda a, b: a.view_as(a),
    "constant": lambda a, b: a * _CONSTANT,
    "cast": lambda a, b: a.double().float(),
    "add_": lambda a, b: _writable(a).add_(b),
    "mul_": lambda a, b: _writable(a).mul_(2.0),
    "set": lambda a, b: _written(a, b),
    "row": lambda a, b: _row_written(a, b),
    "copy_": lambda a, b: torch.zeros(3, 3).copy_(a),
    "index_put_": lambda a, b: _writable(a).index_put_((torch.tensor([0]),), b[:1]),
    "custom": Product.apply,
    "custom two": lambda a, b: Exponential.apply(0.1 * a),
    "custom plain": lambda a, b: Plain.apply(a),
    "custom in place": lambda a, b: InPlace.apply(_writable(a)),
    "checkpoint": lambda a, b: checkpoint(Plain.apply, _tracked(a), use_reentrant=True),
}


def _written(a: Tensor, b: Tensor) -> Tensor:
    a = _writable(a)
    a[1] = b[0]
    return a


def _row_written(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """A view whose base is written through it: its node is remade."""
    a = _writable(a)
    row = a[:]
    row.mul_(0.5)
    return a, row


@dataclass
class Graph:
    """Outputs to draw, as `make_dot` takes them, and names for some of the leaves."""

    outputs: Tensor | tuple[Tensor, ...]
    params: dict[str, Tensor] | None
    ops: list[str]
    tensors: list[Tensor] = field(default_factory=list)


def graph(seed: int) -> Graph:
    """The same graph for the same seed, but for the addresses of its nodes."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    leaves = [torch.rand(3, 3, requires_grad=True) for _ in range(rng.randint(1, 3))]
    leaves.append(torch.nn.Parameter(torch.rand(3, 3)))
    pool = [*leaves, torch.rand(3, 3)]
    ops = [rng.choice(list(OPS)) for _ in range(rng.randint(1, 25))]
    for op in ops:
        # The newest more often, for depth.
        made = OPS[op](rng.choice(pool[-4:]), rng.choice(pool))
        pool += [made] if isinstance(made, Tensor) else made
    several = [rng.choice(pool) for _ in range(rng.randint(0, 4))]
    outputs = (pool[-1], *several, pool[-1][1:]) if rng.random() < 0.6 else pool[-1]
    named = {f"block.{i}": leaf for i, leaf in enumerate(leaves) if rng.random() < 0.7}
    return Graph(outputs, rng.choice([None, {}, named, named]), ops, pool)
