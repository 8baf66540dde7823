"""What torch itself keeps of an op's arguments and result: asked by writing over each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an op: its name as a trace has it, and what it does with tensors so shaped.

    Elements lie between 0.2 and 0.8, or minus that at every second place where `signed`. `fixed`
    are the arguments that take no gradient: indices and masks.
    """

    name: str
    run: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    fixed: dict[int, Tensor] = field(default_factory=dict)
    signed: bool = False

    def arguments(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        made = []
        for position, shape in enumerate(self.shapes):
            if position in self.fixed:
                made.append(self.fixed[position].clone())
                continue
            uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
            one = 0.2 + 0.6 * uniform
            if self.signed:
                one = one * (-1.0) ** torch.arange(one.numel()).view(shape)
            made.append(one)
        return made

    @property
    def wanted(self) -> list[int]:
        """The arguments that may take gradient."""
        return [n for n in range(len(self.shapes)) if n not in self.fixed]


V, M, B, IMAGE = (4,), (4, 4), (2, 4, 4), (2, 4, 6, 6)
INDEX, MASK = torch.tensor([2, 0, 1, 2]), torch.tensor([True, False, True, True])


def _set(x: Tensor, index: Tensor, value: Tensor) -> Tensor:
    x = x.clone()
    x[index] = value
    return x


def _unary(names: str) -> list[Call]:
    return [Call(f"torch.{n}", getattr(torch, n), (V,)) for n in names.split()]


def _signed(owner: str, names: str) -> list[Call]:
    module = F if owner.endswith("functional") else torch
    return [Call(f"{owner}.{n}", getattr(module, n), (V,), signed=True) for n in names.split()]


CALLS = (
    *_unary(
        "exp exp2 expm1 tanh sigmoid sqrt rsqrt reciprocal tan sin cos sinh cosh asin acos atan "
        "asinh atanh log log2 log10 log1p square erf erfc erfinv sinc digamma lgamma logit i0 "
        "neg round floor ceil sign trunc frac clone prod std var norm amax amin max min "
        "median sum mean deg2rad rad2deg"
    ),
    *_signed("torch", "abs relu selu celu nan_to_num angle"),
    *_signed(
        "torch.nn.functional",
        "relu silu gelu softplus mish hardtanh hardswish hardsigmoid leaky_relu elu relu6 "
        "softsign tanhshrink hardshrink softshrink",
    ),
    Call("torch.nn.functional.log_sigmoid", F.logsigmoid, (V,), signed=True),
    Call("torch.softmax", lambda x: torch.softmax(x, 0), (V,)),
    Call("torch.nn.functional.softmax", lambda x: F.softmax(x, 0), (V,)),
    Call("torch.nn.functional.softmin", lambda x: F.softmin(x, 0), (V,)),
    Call("torch.log_softmax", lambda x: torch.log_softmax(x, 0), (V,)),
    Call("torch.logsumexp", lambda x: torch.logsumexp(x, 0), (V,)),
    Call("torch.cumsum", lambda x: torch.cumsum(x, 0), (V,)),
    Call("torch.cumprod", lambda x: torch.cumprod(x, 0), (V,)),
    Call("torch.logcumsumexp", lambda x: torch.logcumsumexp(x, 0), (V,)),
    Call("torch.nanmean", lambda x: torch.nanmean(x, 0), (V,)),
    Call("torch.nn.functional.normalize", lambda x: F.normalize(x, dim=0), (V,)),
    Call("torch.nn.functional.glu", lambda x: F.glu(x, 0), (V,)),
    Call("torch.clamp", lambda x: torch.clamp(x, 0.3, 0.7), (V,)),
    Call("torch.clip", lambda x: torch.clip(x, 0.3, 0.7), (V,)),
    Call("torch.clamp_min", lambda x: torch.clamp_min(x, 0.5), (V,)),
    Call("torch.clamp_max", lambda x: torch.clamp_max(x, 0.5), (V,)),
    Call("Tensor.mul", lambda x: x * 2.0, (V,)),
    Call("Tensor.div", lambda x: x / 2.0, (V,)),
    Call("Tensor.__rdiv__", lambda x: 2.0 / x, (V,)),
    Call("Tensor.__rpow__", lambda x: 2.0**x, (V,)),
    Call("Tensor.__rsub__", lambda x: 2.0 - x, (V,)),
    Call("Tensor.add", torch.add, (V, V)),
    Call("Tensor.sub", torch.sub, (V, V)),
    Call("torch.rsub", torch.rsub, (V, V)),
    Call("Tensor.mul", torch.mul, (V, V)),
    Call("torch.multiply", torch.multiply, (V, V)),
    Call("Tensor.div", torch.div, (V, V)),
    Call("torch.divide", torch.divide, (V, V)),
    Call("torch.true_divide", torch.true_divide, (V, V)),
    Call("Tensor.pow", lambda x: x**3, (V,)),
    Call("Tensor.pow", torch.pow, (V, V)),
    Call("torch.float_power", torch.float_power, (V, V)),
    Call("torch.atan2", torch.atan2, (V, V)),
    Call("torch.hypot", torch.hypot, (V, V)),
    Call("torch.maximum", torch.maximum, (V, V)),
    Call("torch.minimum", torch.minimum, (V, V)),
    Call("torch.fmax", torch.fmax, (V, V)),
    Call("torch.fmin", torch.fmin, (V, V)),
    Call("torch.logaddexp", torch.logaddexp, (V, V)),
    Call("torch.logaddexp2", torch.logaddexp2, (V, V)),
    Call("torch.xlogy", torch.xlogy, (V, V)),
    Call("torch.copysign", torch.copysign, (V, V)),
    Call("torch.fmod", lambda x: torch.fmod(x, 0.3), (V,)),
    Call("torch.remainder", lambda x: torch.remainder(x, 0.3), (V,)),
    Call("torch.dist", torch.dist, (V, V)),
    Call("torch.lerp", lambda a, b: torch.lerp(a, b, 0.3), (V, V)),
    Call("torch.lerp", torch.lerp, (V, V, V)),
    Call("torch.addcmul", torch.addcmul, (V, V, V)),
    Call("torch.addcdiv", torch.addcdiv, (V, V, V)),
    Call("torch.dot", torch.dot, (V, V)),
    Call("torch.vdot", torch.vdot, (V, V)),
    Call("torch.inner", torch.inner, (V, V)),
    Call("torch.inner", torch.inner, (M, M)),
    Call("torch.outer", torch.outer, (V, V)),
    Call("torch.ger", torch.ger, (V, V)),
    Call("torch.mv", torch.mv, (M, V)),
    Call("torch.mm", torch.mm, (M, M)),
    Call("torch.bmm", torch.bmm, (B, B)),
    Call("Tensor.matmul", torch.matmul, (M, M)),
    Call("Tensor.matmul", torch.matmul, (B, B)),
    Call("Tensor.matmul", torch.matmul, (B, M)),
    Call("Tensor.matmul", torch.matmul, (M, V)),
    Call("torch.linalg_matmul", torch.linalg.matmul, (M, M)),
    Call("torch.einsum", lambda a, b: torch.einsum("ij,jk->ik", a, b), (M, M)),
    Call("torch.tensordot", lambda a, b: torch.tensordot(a, b, 1), (M, M)),
    Call("torch.cross", lambda a, b: torch.cross(a, b, dim=-1), ((2, 3), (2, 3))),
    Call("torch.linalg_cross", torch.linalg.cross, ((2, 3), (2, 3))),
    Call("torch.addmm", torch.addmm, (M, M, M)),
    Call("torch.addmv", torch.addmv, (V, M, V)),
    Call("torch.addr", torch.addr, (M, V, V)),
    Call("torch.addbmm", torch.addbmm, (M, B, B)),
    Call("torch.baddbmm", torch.baddbmm, (B, B, B)),
    Call("torch.cdist", torch.cdist, (M, M)),
    Call("torch.linalg_inv", torch.linalg.inv, (M,)),
    Call("torch.linalg_solve", torch.linalg.solve, (M, M)),
    Call("torch.linalg_det", torch.linalg.det, (M,)),
    Call("torch.linalg_norm", torch.linalg.norm, (V,)),
    Call("torch.linalg_vector_norm", torch.linalg.vector_norm, (V,)),
    Call("torch.matrix_exp", torch.matrix_exp, (M,)),
    Call("torch.trace", torch.trace, (M,)),
    Call("torch.nn.functional.linear", F.linear, (M, M)),
    Call("torch.nn.functional.linear", F.linear, (M, M, V)),
    Call("torch.nn.functional.linear", F.linear, (B, M, V)),
    Call("torch.nn.functional.bilinear", F.bilinear, (M, M, (3, 4, 4))),
    Call("torch.nn.functional.conv1d", F.conv1d, ((2, 4, 6), (3, 4, 3))),
    Call("torch.nn.functional.conv1d", F.conv1d, ((2, 4, 6), (3, 4, 3), (3,))),
    Call("torch.nn.functional.conv2d", F.conv2d, (IMAGE, (3, 4, 3, 3))),
    Call("torch.nn.functional.conv2d", F.conv2d, (IMAGE, (3, 4, 3, 3), (3,))),
    Call("torch.nn.functional.conv3d", F.conv3d, ((1, 2, 4, 4, 4), (3, 2, 3, 3, 3), (3,))),
    Call("torch.nn.functional.conv_transpose1d", F.conv_transpose1d, ((2, 4, 6), (4, 3, 3), (3,))),
    Call("torch.nn.functional.conv_transpose2d", F.conv_transpose2d, (IMAGE, (4, 3, 3, 3), (3,))),
    Call(
        "torch.nn.functional.conv_transpose3d",
        F.conv_transpose3d,
        ((1, 2, 4, 4, 4), (2, 3, 3, 3, 3), (3,)),
    ),
    Call(
        "torch.nn.functional.scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        ((1, 2, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    ),
    Call("torch.nn.functional.layer_norm", lambda x: F.layer_norm(x, (4,)), (M,)),
    Call("torch.nn.functional.layer_norm", lambda x, w, b: F.layer_norm(x, (4,), w, b), (M, V, V)),
    Call("torch.nn.functional.rms_norm", lambda x, w: F.rms_norm(x, (4,), w), (M, V)),
    Call("torch.nn.functional.group_norm", lambda x: F.group_norm(x, 2), (IMAGE,)),
    Call("torch.nn.functional.group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), (IMAGE, V, V)),
    Call("torch.nn.functional.instance_norm", F.instance_norm, (IMAGE,)),
    Call(
        "torch.nn.functional.batch_norm",
        lambda x, m, v: F.batch_norm(x, m, v, training=True),
        (IMAGE, V, V),
        {1: torch.zeros(4, dtype=torch.float64), 2: torch.ones(4, dtype=torch.float64)},
    ),
    Call(
        "torch.nn.functional.batch_norm",
        lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b, training=True),
        (IMAGE, V, V, V, V),
        {1: torch.zeros(4, dtype=torch.float64), 2: torch.ones(4, dtype=torch.float64)},
    ),
    Call("torch.nn.functional.mse_loss", F.mse_loss, (V, V)),
    Call("torch.nn.functional.l1_loss", F.l1_loss, (V, V)),
    Call("torch.nn.functional.smooth_l1_loss", F.smooth_l1_loss, (V, V)),
    Call("torch.nn.functional.huber_loss", F.huber_loss, (V, V)),
    Call("torch.nn.functional.kl_div", lambda a, b: F.kl_div(a, b, reduction="sum"), (V, V)),
    Call("torch.nn.functional.binary_cross_entropy", F.binary_cross_entropy, (V, V)),
    Call(
        "torch.nn.functional.binary_cross_entropy_with_logits",
        F.binary_cross_entropy_with_logits,
        (V, V),
    ),
    Call("torch.nn.functional.cross_entropy", F.cross_entropy, (M, M)),
    Call(
        "torch.nn.functional.cosine_similarity", lambda a, b: F.cosine_similarity(a, b, 0), (V, V)
    ),
    Call("torch.nn.functional.prelu", F.prelu, (IMAGE, V), signed=True),
    Call("torch.nn.functional.avg_pool1d", lambda x: F.avg_pool1d(x, 2), ((2, 4, 6),)),
    Call("torch.nn.functional.avg_pool2d", lambda x: F.avg_pool2d(x, 2), (IMAGE,)),
    Call("torch.nn.functional.max_pool2d", lambda x: F.max_pool2d(x, 2), (IMAGE,)),
    Call(
        "torch.nn.functional.adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 2), (IMAGE,)
    ),
    Call("torch.nn.functional.interpolate", lambda x: F.interpolate(x, scale_factor=2.0), (IMAGE,)),
    Call("torch.nn.functional.pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (IMAGE,)),
    Call("torch.nn.functional.pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), (IMAGE,)),
    Call("torch.nn.functional.unfold", lambda x: F.unfold(x, 2), (IMAGE,)),
    Call("torch.nn.functional.pad", lambda x: F.pad(x, (1, 1)), (M,)),
    Call(
        "torch.nn.functional.grid_sample",
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        (IMAGE, (2, 3, 3, 2)),
    ),
    Call("torch.where", torch.where, (V, V, V), {0: MASK}),
    Call("Tensor.masked_fill", lambda x, m: x.masked_fill(m, 0.0), (V, V), {1: MASK}),
    Call("Tensor.__getitem__", lambda x, i: x[i], (V, V), {1: INDEX}),
    Call("Tensor.__getitem__", lambda x, i: x[i], (V, V), {1: MASK}),
    Call(
        "Tensor.__setitem__",
        lambda x, i, v: _set(x, i, v),
        (V, (2,), (2,)),
        {1: torch.tensor([2, 0])},
    ),
    Call("Tensor.mul_", lambda x, y: x.clone().mul_(y), (V, V)),
    Call("Tensor.exp_", lambda x: x.clone().exp_(), (V,)),
    Call("torch.gather", lambda x, i: torch.gather(x, 0, i), (V, V), {1: INDEX}),
    Call("torch.index_select", lambda x, i: torch.index_select(x, 0, i), (M, V), {1: INDEX}),
    Call("torch.take", torch.take, (V, V), {1: INDEX}),
    Call("torch.masked_select", torch.masked_select, (V, V), {1: MASK}),
    Call("Tensor.scatter_add", lambda x, i, s: x.scatter_add(0, i, s), (V, V, V), {1: INDEX}),
    Call(
        "Tensor.scatter",
        lambda x, i, s: x.scatter(0, i, s),
        (V, V, V),
        {1: torch.tensor([2, 0, 1, 3])},
    ),
    Call("Tensor.index_add", lambda x, i, s: x.index_add(0, i, s), (M, V, M), {1: INDEX}),
    Call("torch.nn.functional.embedding", lambda i, w: F.embedding(i, w), (V, M), {0: INDEX}),
    Call("torch.cat", lambda a, b: torch.cat([a, b]), (V, V)),
    Call("torch.stack", lambda a, b: torch.stack([a, b]), (V, V)),
    Call("torch.hstack", lambda a, b: torch.hstack([a, b]), (V, V)),
    Call("torch.vstack", lambda a, b: torch.vstack([a, b]), (V, V)),
    Call("torch.roll", lambda x: torch.roll(x, 1), (V,)),
    Call("torch.flip", lambda x: torch.flip(x, (0,)), (V,)),
    Call("torch.rot90", torch.rot90, (M,)),
    Call("Tensor.repeat", lambda x: x.repeat(2), (V,)),
    Call("torch.repeat_interleave", lambda x: torch.repeat_interleave(x, 2), (V,)),
    Call("torch.tile", lambda x: torch.tile(x, (2,)), (V,)),
    Call("torch.tril", torch.tril, (M,)),
    Call("torch.triu", torch.triu, (M,)),
    Call("torch.diag", torch.diag, (V,)),
    Call("torch.diff", torch.diff, (V,)),
    Call("torch.sort", lambda x: torch.sort(x)[0], (V,)),
    Call("torch.topk", lambda x: torch.topk(x, 2)[0], (V,)),
    Call("torch.trapezoid", torch.trapezoid, (V,)),
    Call("torch.fft_fftn", lambda x: torch.view_as_real(torch.fft.fftn(x)), (M,)),
    Call("torch.fft_rfft", lambda x: torch.view_as_real(torch.fft.rfft(x)), (V,)),
)


def _results(call: Call, arguments: list[Tensor]) -> Tensor:
    result = call.run(*arguments)
    return result[0] if isinstance(result, tuple) else result


def _ready(call: Call, wanted: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """The arguments, the result and the one that takes gradient; none is a leaf or a view."""
    arguments = call.arguments()
    leaf = arguments[wanted].requires_grad_()
    arguments[wanted] = leaf * 1.0
    return arguments, _results(call, arguments), leaf


def _gradient(result: Tensor, leaf: Tensor) -> Tensor:
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).view(result.shape)
    return torch.autograd.grad(result, leaf, weights)[0]


def _candidates(arguments: list[Tensor], result: Tensor) -> dict[str, Tensor]:
    found = {str(position): tensor for position, tensor in enumerate(arguments)}
    if result.data_ptr() not in {t.data_ptr() for t in arguments}:
        found["r"] = result
    return found


def _far(tensor: Tensor) -> Tensor:
    """Other values that are as valid."""
    if not tensor.dtype.is_floating_point:
        return tensor.roll(1) if tensor.dtype is torch.bool else (tensor + 1) % 4
    return (0.9 - 0.5 * tensor.detach().abs()).flatten().flip(0).view(tensor.shape) * _sign(tensor)


def _sign(tensor: Tensor) -> Tensor:
    return -tensor.detach().sign() if (tensor < 0).any() else torch.ones_like(tensor)


def _near(tensor: Tensor) -> Tensor:
    """Values a little off, on the same side of every threshold."""
    return tensor.detach() * 0.999 if tensor.dtype.is_floating_point else _far(tensor)


def _spoilt(
    call: Call, wanted: int, others: Callable[[Tensor], Tensor], rebind: bool = False
) -> frozenset[str]:
    """Which argument's or result's overwriting, uncounted, changes the gradient of `wanted`."""
    arguments, result, leaf = _ready(call, wanted)
    right = _gradient(result, leaf)
    found = set()
    for key in _candidates(arguments, result):
        arguments, result, leaf = _ready(call, wanted)
        tensor = _candidates(arguments, result)[key]
        if rebind:
            tensor.data = others(tensor)
        else:
            tensor.data.copy_(others(tensor))
        if not torch.allclose(_gradient(result, leaf), right, rtol=1e-9, atol=1e-12):
            found.add(key)
    return frozenset(found)


def needed(call: Call, wanted: int) -> frozenset[str]:
    """Whose other values change the gradient of `wanted`."""
    return _spoilt(call, wanted, _far) | _spoilt(call, wanted, _near)


def needed_exactly(call: Call, wanted: int) -> frozenset[str]:
    """Whose values a little off change the gradient of `wanted`."""
    return _spoilt(call, wanted, _near)


def rebound(call: Call, wanted: int) -> frozenset[str]:
    """Those whose `tensor.data = other` changes the gradient: the ones kept as they are."""
    return _spoilt(call, wanted, _far, rebind=True)


def kept(call: Call, wanted: int) -> frozenset[str]:
    """Which argument's or result's counted overwriting makes torch refuse the backward."""
    found = set()
    for key in _candidates(*_ready(call, wanted)[:2]):
        arguments, result, leaf = _ready(call, wanted)
        tensor = _candidates(arguments, result)[key]
        with torch.no_grad():
            tensor.copy_(_far(tensor))
        try:
            _gradient(result, leaf)
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            found.add(key)
    return frozenset(found)


def released(call: Call, wanted: int) -> bool:
    """Whether a second backward through the op finds its saved tensors freed."""
    arguments, result, _ = _ready(call, wanted)
    weights = torch.ones_like(result)
    torch.autograd.grad(result, arguments[wanted], weights)
    try:
        torch.autograd.grad(result, arguments[wanted], weights)
    except RuntimeError as error:
        if "second time" not in str(error):
            raise
        return True
    return False
