"""Random programs of many ops over leaves of several kinds, as text.

`leaf_a` and `leaf_b` require grad; `leaf_c` does not; `leaf_i` holds integers. Every floating
tensor is 3 x 3 in double precision. The placeholders are those of `random_programs`.

All elements of a result depend on the inputs in a generic way in `LIVE`, `LOST` and `SILENT`, and
no write there erases a part of a tensor: a tensor that one of these programs uses is one whose
change changes the root. In `PARTIAL` that need not be so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st

from tests.graph.random_programs import leaves

BEGIN = """
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
order = torch.tensor([2, 0, 1])
eye = torch.eye(3, dtype=torch.bool)
kernel = torch.randn(1, 1, 3, 3, dtype=torch.float64)
weights = torch.randn(3, 3, dtype=torch.float64)
x0 = leaf_a * 1.5
x1 = leaf_b.sin()
x2 = torch.cos(leaf_c)
x3 = 0.3 * leaf_i + weights
x4 = torch.randn(3, 3, dtype=torch.float64)
"""
END = """
loss = (weights * ({roots})).sum()
"""
LEAVES = ("leaf_a", "leaf_b", "leaf_c", "leaf_i")

VIEWS = (
    "{o} = {a}.view(9).view(3, 3)",
    "{o} = {a}.reshape(1, 9).reshape(3, 3)",
    "{o} = {a}.transpose(0, 1)",
    "{o} = {a}.permute(1, 0)",
    "{o} = {a}.movedim(0, 1)",
    "{o} = {a}.swapaxes(0, 1)",
    "{o} = torch.cat([{a}.narrow(0, 0, 1), {a}.narrow(0, 1, 2)])",
    "{o} = torch.cat({a}.chunk(3, 1)[::-1], 1)",
    "{o} = torch.vstack({a}.split([2, 1]))",
    "{o} = torch.stack({a}.unbind(1))",
    "{o} = torch.hstack(torch.tensor_split({a}, 3, 1))",
    "{o} = {a}.unfold(0, 3, 1)[0]",
    "{o} = torch.as_strided({a}.contiguous(), (3, 3), (1, 3))",
    "{o} = {a}.unsqueeze(0).squeeze(0)",
    "{o} = {a}.expand(2, 3, 3).mean(0)",
    "{o} = {a}.flatten().unflatten(0, (3, 3))",
    "{o} = {a}.view_as({b})",
    "{o} = {a}[None, ..., :][0]",
    "{o} = {a}.diagonal().sum() + {b}",
    "pair = torch.stack([{a}, {b}], 2).mul(0.5); {o} = torch.view_as_real("
    "torch.view_as_complex(pair)).sum(2)",
    "{o} = {a}.mT",
    "first, second = torch.broadcast_tensors({a}, {b}.mean(0)); {o} = first + 0.5 * second",
    "rows, columns = torch.meshgrid({a}.sum(0), {b}.sum(1), indexing='ij'); {o} = rows - columns",
    "first, second, third = {a}; {o} = torch.stack([third, first, second])",
)
ARITHMETIC = (
    "{o} = {a} + {b}",
    "{o} = {a} - 0.4 * {b}",
    "{o} = {a} * {b} + 0.1 * {a}",
    "{o} = {a} / ({b}.square() + 1.5)",
    "{o} = 2.0 - 0.7 * {a}",
    "{o} = ({a} * 0.8).neg()",
    "{o} = ({a}.square() + 0.2).sqrt()",
    "{o} = {a}.sin().exp()",
    "{o} = torch.log1p({a} * {a})",
    "{o} = torch.lerp({a}, {b}, 0.3)",
    "{o} = torch.addcmul({a}, {b}, {b}, value=0.2)",
    "{o} = torch.hypot({a}, {b} + 0.01)",
    "{o} = {a}.mean(0, keepdim=True) + {b}",
    "{o} = {a}.sum(1)[:, None] * 0.2 + {b}",
    "{o} = 0.1 * {a}.logsumexp(1) + {b}",
    "{o} = {a}.norm() * 0.1 + {b}",
    "{o} = {a}.cumsum(0)",
    "{o} = 0.3 * {a} @ {b}",
    "{o} = 0.3 * torch.einsum('ij,kj->ik', {a}, {b})",
    "{o} = 0.3 * torch.bmm({a}[None], {b}[None])[0]",
    "{o} = torch.addmm({a}, {b}, {b}, alpha=0.2)",
    "{o} = 0.2 * torch.tensordot({a}, {b}, 1)",
    "{o} = F.conv2d({a}[None, None], kernel, padding=1)[0, 0] + 0.1 * {a}",
    "{o} = F.linear({a}, {b}) * 0.3",
    "{o} = F.silu({a}.sin())",
    "{o} = F.pad({a}, (1, 1))[:, 1:-1] + 0.0",
    "{o} = {a}.flip(1)",
    "{o} = {a}.roll(2, 0)",
    "{o} = {a}.repeat(2, 1).view(2, 3, 3).mean(0)",
    "{o} = torch.block_diag({a}, {b})[:3, :3] + torch.block_diag({a}, {b})[3:, 3:]",
)
INDEXING = (
    "{o} = {a}[order]",
    "{o} = {a}[:, order] + {b}",
    "{o} = {a}[eye].sum() + {a}[~eye].sum() * 0.2 + {b}",
    "{o} = {a}.gather(1, order.expand(3, 3))",
    "{o} = {a}.index_select(1, order)",
    "{o} = {a}.take(torch.arange(8, -1, -1)).view(3, 3)",
    "{o} = torch.take_along_dim({a}, order[:, None], 0) + {a}",
    "{o} = torch.where(eye, {a}, 0.5 * {a})",
    "{o} = {a}.masked_select(eye).sum() + {b}",
    "{o} = F.embedding(order, {a})",
    "{o} = {a}.scatter_add(0, order[:, None].expand(3, 3), {b})",
    "{o} = torch.index_add({a}, 0, order, {b}, alpha=0.7)",
)
CASTS = (
    "{o} = {a}.to(torch.float32).double()",
    "{o} = {a}.float().type_as({b})",
    "{o} = {a}.to({b})",
    "{o} = {a}.type(torch.float32).to(torch.float64)",
    "{o} = torch.complex({a}, {b}).abs() + 0.1 * {a}",
    "{o} = ({a} + 1j * {b}).imag + 0.5 * ({a} + 1j).real",
)
SHAPES = (
    "{o} = torch.zeros_like({a}) + {b}",
    "{o} = torch.ones_like({a}) * {b}",
    "{o} = torch.full_like({a}, 0.4) * {b}",
    "{o} = {a}.new_zeros(3, 3) - 0.6 * {b}",
    "{o} = {a}.new_ones({a}.shape) + {b}",
    "{o} = torch.rand_like({a}) + {b}",
    "{o} = torch.empty_like({a}).copy_({b})",
    "{o} = {a}.new_empty({a}.size()).normal_() + {b}",
    "{o} = torch.randn({a}.shape, dtype={a}.dtype) * {b}",
    "{o} = {a}.shape[0] * {b}",
)
WRITES = (
    "{m}.add_({b}.clone())",
    "{m}.sub_({b}.clone(), alpha=0.3)",
    "{m}.mul_(0.7)",
    "{m}.div_(1.7)",
    "{m} += {b}.clone()",
    "{m}[0] += {b}[1].clone()",
    "{m}[:, 1] *= 0.6",
    "{m}.t()[2].add_({b}[0].clone())",
    "{m}.diagonal().mul_(2.0)",
    "{m}.index_add_(0, order, {b}.clone())",
    "{m}.index_put_((order[:2],), {b}[:2].clone(), accumulate=True)",
    "{m}.scatter_add_(1, order.expand(3, 3), {b}.clone())",
    "{m}.addcmul_({b}.clone(), {b}.clone(), value=0.5)",
    "{m}.lerp_({b}.clone(), 0.4)",
    "{m}.sin_()",
    "torch._foreach_mul_([{m}], 0.9)",
    "{m}.unsqueeze_(0); {m}.squeeze_(0)",
    "{m}.swapaxes_(0, 1)",
)
LIVE = VIEWS + ARITHMETIC + INDEXING + CASTS + SHAPES + WRITES

LOST = (
    "{o} = {a}.detach()",
    "{o} = {a}.detach() + {b}",
    "{o} = {a}.data * {b}",
    "{m}.detach_()",
    "{o} = torch.tensor({a}.tolist(), dtype=torch.float64) + {b}",
    "{o} = torch.tensor({a}) * 0.9",
    "{o} = {a}.new_tensor({b})",
    "{o} = torch.as_tensor({a}.detach().numpy()) * 0.9",
    "{o} = torch.from_numpy({a}.detach().numpy()) + {b}",
    "{o} = {b} + {a}.mean().item()",
    "{o} = {b} * float({a}.sum())",
    "{o} = ({a} * 2.0**40).to(torch.int64).to(torch.float64) / 2.0**40",
    "{o} = ({a} * 2.0**40).long() / 2.0**40 + {b}",
    "{o} = torch.nn.Parameter({a} * 1.0) + {b}",
    "with torch.no_grad(): {o} = {a} + 0.5 * {b}",
    "with torch.no_grad(): {o} = {a}.t()",
    "with torch.inference_mode(): {o} = {a} - 0.6 * {b}",
    "with torch.set_grad_enabled(False): {o} = {a}.sin() + {b}",
    "{o} = torch.normal({a}, 1.0) + {b}",
    "{o} = torch.distributions.Normal({a}, 0.5).sample() * {b}",
    "{o} = {a}.detach().clone().apply_(lambda element: 0.9 * element) + {b}",
    "{o} = torch.no_grad()(lambda t: t.cos())({a})",
    "{o} = {a} / {a}.detach().norm()",
    "{o} = {a} + (torch.floor({a} * 4096) / 4096 - {a}).detach() + 0.1 * {b}",
)
# Autograd keeps the history that the written tensor had: its gradient is of other values.
SILENT = (
    "{m}.data = {b}.detach() + 0.1",
    "with torch.no_grad(): {m}.mul_(0.5)",
    "{m}.data.add_({b}.detach())",
    "{m}.detach().mul_(0.8)",
)
# Of these, writes to all of a tensor.
REPLACING = (
    "with torch.no_grad(): {m}.copy_({b})",
    "with torch.no_grad(): torch.add({a}, {b}, out={m})",
    "with torch.no_grad(): torch.mul({a}, 0.7, out={m})",
)
# The part that is read need not be the part that depends, what chooses need not change.
PARTIAL = (
    "{o} = {a}[0] + {b}",
    "{o} = {a}[:, 1:2] * {b}",
    "{o} = torch.cat([{a}[:1], {b}[1:]])",
    "{o} = {a}.select(1, 0).expand(3, 3) * 0.5",
    "{o} = {a}.masked_fill(eye, 0.3)",
    "{o} = torch.where({a} > 0, {a}, {b})",
    "{o} = {a}.scatter(0, order[:, None].expand(3, 3), {b})",
    "{o} = {a}.index_fill(0, order[:1], 0.5)",
    "{o} = {a}.clamp(-0.5, 0.5)",
    "{o} = F.relu({a})",
    "{o} = torch.maximum({a}, {b})",
    "{o} = {a}.topk(3).values",
    "{o} = {a}.sort(1, descending=True)[0]",
    "{o} = {a}.softmax(1)",
    "{o} = F.layer_norm({a}, (3,))",
    "{o} = {a} * 0.0 + {b}",
    "{o} = ({a} > {b}).to(torch.float64)",
    "{o} = {a}.argmax(0) * {b}",
    "{o} = F.one_hot({a}.argmax(1), 3) + {b}",
    "{o} = {b}[{a}.argsort(0)[0]]",
    "{o} = {a}.round() + 0.1 * {b}",
    "{o} = {a}.sign()",
    "{o} = {a}.half().double()",
    "{o} = {a}.bfloat16().to(torch.float64) + {b}",
    "{o} = {a}.to(torch.int32) + {b}",
    "{o} = {a}.bool().double() + {b}",
    "{m}[1] = {b}[0].clone()",
    "{m}[order[:1], order[1:2]] = {b}[0, 0].clone()",
    "{m}[eye] = 0.5",
    "{m}[{m} > 0.5] = 0.1",
    "{m}.index_put_((order[:1],), {b}[:1].clone())",
    "{m}.index_copy_(0, order[:2], {b}[:2].clone())",
    "{m}.masked_fill_(eye, 0.1)",
    "{m}.masked_scatter_(eye, {b}.clone())",
    "{m}.zero_()",
    "{m}[2].zero_()",
    "{m}.clamp_(-1.0, 1.0)",
    "{m}.relu_()",
    "{m}.fill_diagonal_(0.3)",
    "{m}.tril_()",
    "with torch.no_grad(): {m}[0] = {b}[1]",
    "{m}.data[1].copy_({b}.data[0])",
    # A write to an alias is taken to leave a part of what was there.
    "{m}.copy_({b}.clone())",
    "{m}[...] = {b}.clone()",
    "{m}[:] = 0.5 * {b}",
    "{m}.fill_(0.2)",
    "{m}.data.copy_({b}.data)",
)
EVERY = LIVE + LOST + SILENT + REPLACING + PARTIAL


def programs(ops: tuple[str, ...], longest: int = 8) -> st.SearchStrategy[str]:
    """Programs of some of these ops, none longer than `longest`."""
    number = st.sampled_from((0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 8))
    op = st.tuples(st.sampled_from(ops), number, number)
    return st.builds(text_of, st.lists(op, min_size=1, max_size=longest), number)


def text_of(ops: list[tuple[str, int, int]], last: int) -> str:
    """A program of these ops: each with the places, from the newest, of the tensors it takes."""
    names = ["leaf_c", "leaf_a", "leaf_b", "x0", "x1", "x2", "x3", "x4"]
    leaves_first = 3
    lines = []
    for op, first, second in ops:
        new = f"x{len(names) - leaves_first}"
        writable = names[leaves_first:]
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
    writable = names[leaves_first:]
    roots = " + 0.5 * ".join(dict.fromkeys((writable[-1], writable[-1 - last % len(writable)])))
    return BEGIN + "\n".join(lines) + END.format(roots=roots)


def given_to(moved: str | None = None) -> dict[str, Any]:
    """The leaves' values, by name; one of them `moved` to others."""
    pair = leaves()
    values = {name: pair[name].detach() for name in ("leaf_a", "leaf_b")}
    generator = torch.Generator().manual_seed(8)
    values["leaf_c"] = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    values["leaf_i"] = torch.randint(0, 9, (3, 3), generator=generator)
    if moved is not None:
        away: Callable[[torch.Tensor], torch.Tensor] = (
            (lambda v: v + 1 + (v % 3)) if moved == "leaf_i" else (lambda v: 1.1 * v + 0.23)
        )
        values[moved] = away(values[moved])
    return values
