"""Random programs over two leaves, as text: what plain torch says of them is the oracle.

Every tensor is 3 x 3. `{a}` and `{b}` stand for earlier tensors, `{m}` for one that may be written
to, `{o}` for a new one.
"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

BEGIN = """
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2.0

    @staticmethod
    def backward(ctx, grad):
        return grad * 2.0


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return grad * y, grad * x


class FirstOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(y)
        return x * y

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


torch.manual_seed(0)
order = torch.tensor([2, 0, 1])
weights = torch.randn(3, 3, dtype=torch.float64)
x0 = leaf_a * 1.5
x1 = leaf_b.sin()
x2 = torch.full((3, 3), 0.25, dtype=torch.float64)
x3 = torch.randn(3, 3, dtype=torch.float64)
"""

END = """
loss = (weights * ({roots})).sum()
"""

# Gradient is exact through these, and changing an input changes the result.
SMOOTH = (
    "{o} = {a} + {b}",
    "{o} = {a} - 0.5 * {b}",
    "{o} = {a} * {b}",
    "{o} = {a} / ({b}.pow(2) + 1.0)",
    "{o} = 0.8 * {a}",
    "{o} = torch.tanh({a})",
    "{o} = {a}.sin()",
    "{o} = -{a}",
    "{o} = {a} @ {b}",
    "{o} = torch.einsum('ij,jk->ki', {a}, {b})",
    "{o} = F.softmax({a}, -1)",
    "{o} = {a}.clone()",
    "{o} = {a}[:]",
    "{o} = {a}.t()",
    "{o} = {a}.T.contiguous()",
    "{o} = {a}.view_as({a})",
    "{o} = {a}.reshape(9).view(3, 3)",
    "{o} = {a}.unsqueeze(0).squeeze(0)",
    "{o} = {a}.flip(0)",
    "{o} = {a}.roll(1, 1)",
    "{o} = {a}.sum(0, keepdim=True).expand(3, 3)",
    "{o} = {a}.mean() + {b}",
    "{o} = {a}[0] + {b}",
    "{o} = {a}[:, 1:2] * {b}",
    "{o} = {a}[order]",
    "{o} = {a}.index_select(0, order)",
    "{o} = torch.cat([{a}[:1], {b}[1:]])",
    "{o} = torch.stack(list({a}.unbind(1)))",
    "{o} = torch.stack([{a}[0], {b}[1], {a}[2]], 1)",
    "{o} = torch.cat([part * 2.0 for part in {a}.chunk(3)])",
    "first, rest = {a}.split([1, 2]); {o} = torch.cat([rest, first * 0.5])",
    "{o} = torch.zeros_like({a}) + {b}",
    "{o} = torch.randn_like({a}) * {b}",
    "{o} = {a}.new_full((3, 3), 0.5) * {b}",
    "{o} = {a}.to(torch.complex128).real",
    "{o} = {a}.to(torch.float64)",
    "{o} = Double.apply({a})",
    "{o} = Product.apply({a}, {b})",
    "{o} = checkpoint(lambda t, u={b}.clone(): t.sin() * u, {a}.clone(), use_reentrant=False)",
    "{o} = checkpoint(lambda t: t.sin() * 2.0, {a}.clone(), use_reentrant=True)",
    "{o} = torch.einsum('ij->ji', {a})",
    "{o} = {a}.gather(1, order.expand(3, 3))",
    "{o} = F.linear({a}, {b})",
    "{o} = torch.addcmul({a}, {b}, {b}, value=0.3)",
    "{o} = {a}.diagonal().diag_embed() + 0.1 * {a}",
    "with torch.no_grad(), torch.enable_grad(): {o} = {a} * 0.9",
)

# Values choose among others: the derivative is exact but where the choice turns.
SELECTING = (
    "{o} = torch.where({a} > 0, {a}, {b})",
    "{o} = {a}.masked_fill({b} > 0.5, 0.3)",
    "{o} = {a}.gather(1, {b}.argsort(1))",
    "{o} = {a}.topk(3, dim=1).values",
    "{o} = {a}.sort(0).values",
    "{o} = {a}.clamp(-0.5, 0.5)",
    "{o} = torch.relu({a})",
    "{o} = torch.maximum({a}, {b})",
    "{o} = {a}.scatter(0, order[:, None].expand(3, 3), {b})",
)

WRITING = (
    "{m}[0] = {b}[1].clone()",
    "{m}[:, 1] = {b}[2] * 2.0",
    "{m}[1:, :2] = {b}[:2, 1:].clone()",
    "{m}.add_({b}.clone())",
    "{m}.mul_(0.7)",
    "{m}[1:].mul_(2.0)",
    "{m}.t()[0].add_({b}[0].clone())",
    "{m} += {b}.clone()",
    "{m}[0] *= 2.0",
    "{m}.copy_({b}.clone())",
    "{m}[2].copy_({b}[2].clone())",
    "{m}.zero_()",
    "{m}[0].zero_()",
    "{m}.fill_(0.2)",
    "{m}.diagonal().copy_({b}.diagonal().clone())",
    "{m}.index_add_(0, order, {b}.clone())",
    "{m}.index_put_((order[:1],), {b}[:1].clone())",
    "{m}.scatter_(0, order[:, None].expand(3, 3), {b}.clone())",
    "{m}.masked_fill_(torch.eye(3, dtype=torch.bool), 0.5)",
    "{m}.addcmul_({b}.clone(), {b}.clone(), value=0.5)",
    "{m}.tanh_()",
    "F.relu({m}, inplace=True)",
    "{m}.chunk(3)[1].mul_(2.0)",
    "{o} = {m}.transpose(0, 1); {o}.mul_(0.5)",
    "{o} = {m}[:]; {o}[1] = {b}[0].clone()",
    "torch.relu_({m}[0])",
    "torch._foreach_mul_([{m}], 0.6)",
    "torch._foreach_add_([{m}], [{b}.clone()])",
)

LOSING = (
    "{o} = {a}.detach() * {b}",
    "{o} = {a}.detach()",
    "{o} = {a}.data",
    "{o} = torch.tensor({a}.tolist(), dtype=torch.float64) + {b}",
    "{o} = torch.tensor({a}) + 0.1",
    "{o} = {a}.new_tensor({b})",
    "{o} = torch.from_numpy({a}.detach().numpy())",
    "{o} = torch.from_numpy({a}.detach().numpy().copy()) * {b}",
    "{o} = {a} * {b}.mean().item()",
    "{o} = {a} * float({b}[0, 0])",
    "{o} = {a}.to(torch.int64).to(torch.float64) + 0.1 * {b}",
    "{o} = ({a} > 0).to(torch.float64) * {b}",
    "{o} = {a}.argmax(1).to(torch.float64) + {b}",
    "{o} = FirstOnly.apply({a}, {b})",
    "{o} = checkpoint(lambda t, u={b}.clone(): t.sin() * u, {a}.clone(), use_reentrant=True)",
    "with torch.no_grad(): {o} = {a} * {b}",
    "with torch.no_grad(): {o} = {a}[:]",
    "with torch.inference_mode(): {o} = {a} + {b}",
    "{m}.detach_()",
    "{o} = torch.nn.Parameter({a} * 1.0) * {b}",
    "{o} = {a}.round() * 0.3 + {b}",
)

# Autograd keeps the history that the written tensor had: its gradient is of other values.
SILENT = (
    "with torch.no_grad(): {m}.mul_(0.5)",
    "with torch.no_grad(): {m}[0] = {b}[0]",
    "with torch.no_grad(): torch.mul({a}, {b}, out={m})",
    "with torch.no_grad(): torch.mul({a}[0], {b}[1], out={m}[2])",
    "with torch.no_grad(): {m}.copy_({b})",
    "{m}.data.mul_(0.5)",
    "{m}.data[0] = {b}.data[1]",
    "{m}.detach()[1].add_({b}.detach()[0])",
    "{m}.data = {b}.data * 2.0",
)

EVERY = SMOOTH + SELECTING + WRITING + LOSING + SILENT


def programs(ops: tuple[str, ...], longest: int = 7) -> st.SearchStrategy[str]:
    """Programs of some of these ops, none longer than `longest`."""
    number = st.sampled_from((0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 7))  # the newest tensors most often
    op = st.tuples(st.sampled_from(ops), number, number)
    return st.builds(_text, st.lists(op, min_size=1, max_size=longest), number)


def _text(ops: list[tuple[str, int, int]], last: int) -> str:
    names = ["leaf_a", "leaf_b", "x0", "x1", "x2", "x3"]
    lines = []
    for op, first, second in ops:
        new = f"x{len(names) - 2}"
        writable = names[2:]
        lines.append(
            op.format(
                a=names[-1 - first % len(names)],
                b=names[-1 - second % len(names)],
                m=writable[-1 - first % len(writable)],
                o=new,
            )
        )
        if "{o}" in op:
            names.append(new)
    writable = names[2:]
    roots = " + 0.5 * ".join(dict.fromkeys((writable[-1], writable[-1 - last % len(writable)])))
    return BEGIN + "\n".join(lines) + END.format(roots=roots)


def leaves(by_a: float = 0.0, by_b: float = 0.0) -> dict[str, Any]:
    """The two leaves, moved along fixed directions."""
    generator = torch.Generator().manual_seed(7)
    values = [torch.randn(3, 3, dtype=torch.float64, generator=generator) for _ in range(4)]
    return {
        "leaf_a": (values[0] + by_a * values[2]).requires_grad_(),
        "leaf_b": (values[1] + by_b * values[3]).requires_grad_(),
        "along_a": values[2],
        "along_b": values[3],
    }
