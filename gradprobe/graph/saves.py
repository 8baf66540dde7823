"""What an op keeps of its inputs and its result until its backward: data, by the op's name.

Of an op that is not listed anything may be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gradprobe.records.op import Kind
from gradprobe.records.tensor import REQUIRES_GRAD
from gradprobe.records.trace import Trace


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RESULT: Final = _names(
    "exp exp2 expm1 tanh sigmoid sqrt rsqrt reciprocal tan softmax log_softmax softmin relu selu"
)
# The derivative of one argument needs the other; one of them is kept if the other wants gradient.
_PRODUCTS: Final = _names(
    "mul multiply matmul mm bmm mv dot outer ger einsum linear addmm baddbmm addmv bilinear cross"
)
_QUOTIENTS: Final = _names("div divide truediv true_divide")
_INPUTS: Final = _names(
    "pow square sin cos log log2 log10 log1p abs clamp clip silu gelu softplus mish erf hardtanh "
    "layer_norm group_norm instance_norm batch_norm conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d conv_transpose3d mse_loss smooth_l1_loss l1_loss huber_loss atan2 hypot "
    "maximum minimum avg_pool2d std var leaky_relu hardswish hardsigmoid arctan atan asin acos"
)
_NOTHING: Final = _names(
    "add sub subtract radd rsub neg negative sum mean cat concat concatenate stack clone "
    "roll flip pad repeat tile tril triu interpolate upsample round floor ceil sign copy "
    "zero fill real imag fftn ifftn fft2 ifft2 fft ifft fftshift ifftshift cumsum diff"
)
_KEEPS_NOTHING: Final = frozenset(
    {Kind.VIEW, Kind.CAST, Kind.SHAPE_ONLY, Kind.RANDOM, Kind.HOST, Kind.DETACH, Kind.COPY}
    | {Kind.EXIT, Kind.PARAMETER, Kind.ALIAS, Kind.REENTRY, Kind.OVERWRITE}
)
# Their nodes bear their names, so another name in torch's message rules them out.
_NAMED: Final = _RESULT | _names("mul div add sub pow sin cos log silu gelu cat stack sum mean")
_SAME: Final = {"radd": "add", "rmul": "mul", "truediv": "div", "softmin": "softmax"}


def bare(callee: str) -> str:
    """`Tensor.__imul__`, `Tensor.mul_` and `torch.mul` are all `mul`."""
    last = callee.rsplit(".", 1)[-1]
    name = last.strip("_")
    if last.startswith("__i"):
        name = name[1:]
    return _SAME.get(name, name)


def node_of(callee: str) -> str | None:
    """What the op's node is called, in lower case and without a number; None if not known."""
    name = bare(callee)
    return name.replace("_", "") if name in _NAMED else None


def keeps_result(trace: Trace, op: int) -> bool | None:
    """Whether `op` keeps what it gives; None: perhaps."""
    callee = trace.ops.callee_of(op)
    name = bare(callee.name)
    if name in _RESULT:
        return True
    listed = name in _PRODUCTS or name in _QUOTIENTS or name in _INPUTS or name in _NOTHING
    return False if listed or callee.kind in _KEEPS_NOTHING else None


def keeps_input(trace: Trace, op: int, inputs: Sequence[int], value: int) -> bool | None:
    """Whether `op` keeps its input `value`; None: perhaps."""
    callee = trace.ops.callee_of(op)
    name = bare(callee.name)
    if callee.kind in _KEEPS_NOTHING or name in _RESULT or name in _NOTHING:
        return False
    if callee.kind is Kind.SELECT and trace.values.describe(value).differentiable:
        return None if "embedding" in name else False
    if callee.kind is Kind.WRITE and inputs[0] == value:
        return False  # torch keeps a copy of what it is about to write over
    if name in _PRODUCTS or name in _QUOTIENTS:
        places = [i for i, v in enumerate(inputs) if v == value]
        if name in _QUOTIENTS and 1 in places:
            return True
        others = [v for i, v in enumerate(inputs) if len(places) > 1 or i not in places]
        return any(trace.values.flags[v] & REQUIRES_GRAD for v in others)
    return True if name in _INPUTS else None
