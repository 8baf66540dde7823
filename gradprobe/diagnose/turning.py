"""Why a node gave zeros, or what is not finite, though what it took was sound.

The derivatives' formulas are torch's (tools/autograd/derivatives.yaml): a node keeps in the forward
what its formula needs, and from that the reason is read.
"""

from __future__ import annotations

import math
import re
from typing import Literal

from gradprobe.diagnose.hooks import hooked
from gradprobe.graph.detours import detours
from gradprobe.graph.node_flow import NodeFlow, Turn
from gradprobe.graph.view import View
from gradprobe.records.numerics import Saved

Reason = Literal["flat", "saturated", "scaled", "underflow", "overflow", "singular"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOW = ("float16", "bfloat16")
_FLAT = _names("round floor ceil trunc fix sign sgn heaviside floordivide")
# Their derivative at an element is zero past a bound, or at the other end of a choice.
_SATURATING = _names(
    "clamp clampmin clampmax relu relu6 threshold hardtanh hardsigmoid hardswish elu selu "
    "gelu silu tanh sigmoid logsigmoid softplus softmax logsoftmax erf erfc exp maximum "
    "minimum where maskedfill maskedscatter leakyrelu celu mish softshrink hardshrink"
)
# Saturated where the result is one of these, to the last bit.
_BOUNDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "exp": (0.0, 0.0)}
# Operands whose magnitude multiplies the gradient of another.
_FACTORS = _names("self other weight mat1 mat2 mat vec tensor batch1 batch2 tensor1 tensor2")
_MULTIPLIES = _names(
    "mul div mm bmm addmm addbmm baddbmm addmv mv dot convolution addcmul addcdiv lerp linear "
    "prod pow abs mseloss l1loss smoothl1loss huberloss scaleddotproduct"
)


def ended(view: View) -> list[Turn]:
    """Where gradients became zero; empty too where nodes were not measured."""
    flow = _node_flow(view)
    turns = [] if flow is None else [t for t in flow.ends() if not _by_hook(view, t)]
    # `solution[i] = x` gives zeros to what had stood there, and to parts of the whole that nothing
    # uses: beside anything else that gave zeros it ends no way.
    return [turn for turn in turns if kind_of(turn) != "copyslices"] or turns


def born(view: View) -> list[Turn]:
    """Where gradients stopped being finite; empty too where nodes were not measured."""
    flow = _node_flow(view)
    return [] if flow is None else [t for t in flow.births() if not _by_hook(view, t)]


def instead_of(view: View) -> frozenset[int]:
    """Results of the cuts that keep gradient from a leaf to which nothing but zeros comes.

    Where a way round the op that gave the zeros is cut, the cut is the loss, and the zeros are what
    is left: a sampler's last step multiplies one of two ways by 0 by right. Empty where nodes were
    not measured.
    """
    if not view.zero or not measured(view):
        return frozenset()
    # What a write gives zeros to is what stood there before: what it writes goes by all the same.
    closed = {turn.node.op for turn in ended(view) if kind_of(turn) != "copyslices"}
    return detours(view.data, view.flow, closed)


def measured(view: View) -> bool:
    """Whether the nodes of the view's pass were measured."""
    return view.passed is not None and view.passed.numbers is not None


def _node_flow(view: View) -> NodeFlow | None:
    numbers = view.passed.numbers if view.passed is not None else None
    return None if numbers is None else NodeFlow(numbers, view.leaf.values)


def _by_hook(view: View, turn: Turn) -> bool:
    """Whether a hook of the program did it: what a node gave is seen after its hooks."""
    if kind_of(turn) == "backwardhookfunction":
        return True
    return any(h.op == turn.node.op for h in hooked(view) if h.effect != "changed" and h.op >= 0)


def reason_of(turn: Turn) -> Reason:
    """Why the gradient became what it is. Of two reasons the one that the numbers prove."""
    if not math.isfinite(turn.went):
        return "overflow" if turn.dtype in _LOW and not at_a_pole(turn) else "singular"
    op = kind_of(turn)
    if op in _FLAT:
        return "flat"
    if zero_operand(turn) is not None:
        return "scaled"
    if turn.dtype in _LOW and not _is_saturated(turn, op):
        return "underflow"
    return "saturated" if op not in _MULTIPLIES else "scaled"


def kind_of(turn: Turn) -> str:
    """A node's derivative by name: `mul` of `MulBackward0`, `clamp` of `ClampBackward1`."""
    return re.sub(r"Backward\d*$", "", turn.node.name.rsplit("::", 1)[-1]).lower()


def zero_operand(turn: Turn) -> Saved | None:
    """What the node had saved and multiplies by, if all of it is zero."""
    if turn.node.witness is None or kind_of(turn) not in _MULTIPLIES:
        return None
    operands = [s for s in turn.node.witness.saved if s.name in _FACTORS]
    zero = [s for s in operands if s.low == 0 == s.high]
    own = "other" if turn.edge == 1 else "self"
    return next((s for s in zero if s.name != own), zero[0] if zero else None)


def at_a_pole(turn: Turn) -> bool:
    """Whether an operand is zero at the element where the gradient stopped being finite."""
    witness = turn.node.witness
    return witness is not None and any(s.at == 0 for s in witness.saved)


def saved(turn: Turn, name: str) -> Saved | None:
    """What the node had saved under a name of its formula."""
    witness = turn.node.witness
    return next((s for s in witness.saved if s.name == name), None) if witness else None


def _is_saturated(turn: Turn, op: str) -> bool:
    """Whether the forward's values say so; in low precision a product may have been too small."""
    if op not in _SATURATING:
        return False
    bounds = _BOUNDS.get(op)
    result = saved(turn, "result")
    if bounds is not None and result is not None:
        return {result.low, result.high} <= set(bounds)
    taken = saved(turn, "self")
    low, high = saved(turn, "min"), saved(turn, "max")
    if op.startswith(("clamp", "hardtanh")) and taken is not None:
        above = high is not None and taken.low > high.high
        below = low is not None and taken.high < low.low
        return above or below
    return True
