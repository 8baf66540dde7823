"""What an op keeps of its inputs and its result until its backward, and which gradient needs it.

Of an op that `derivatives` does not list anything may be kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from gradprobe.graph.derivatives import DERIVATIVES, KEEP_NOTHING, THROUGH_VIEWS
from gradprobe.records.op import Kind
from gradprobe.records.tensor import REQUIRES_GRAD
from gradprobe.records.trace import Trace

_KEEPS_NOTHING: Final = frozenset(
    {Kind.VIEW, Kind.CAST, Kind.SHAPE_ONLY, Kind.RANDOM, Kind.HOST, Kind.DETACH, Kind.COPY}
    | {Kind.EXIT, Kind.PARAMETER, Kind.ALIAS, Kind.REENTRY, Kind.OVERWRITE}
)
# Their nodes bear their names, so another name in torch's message rules them out.
_NAMES: Final = (
    "exp exp2 expm1 tanh sigmoid sqrt rsqrt reciprocal tan softmax log_softmax softmin relu selu "
    "mul div add sub pow sin cos log silu gelu cat stack sum mean"
)
_NAMED: Final = frozenset(_NAMES.split())
_SAME: Final = {"radd": "add", "rmul": "mul", "truediv": "div", "softmin": "softmax"}
_FAMILIES: Final = ("linalg_", "fft_", "special_")  # as torch.linalg.inv is called within torch


class Need(IntEnum):
    """How the gradient of an input depends on a tensor that the op kept."""

    NONE = 0
    MAYBE = 1  # the op is not listed
    REGION = 2  # on which side of a threshold its elements lie
    VALUE = 3


def bare(callee: str) -> str:
    """`Tensor.__imul__`, `Tensor.mul_` and `torch.mul` are all `mul`."""
    name = _own_name(callee)
    for family in _FAMILIES:
        name = name.removeprefix(family)
    return name


def _own_name(callee: str) -> str:
    last = callee.rsplit(".", 1)[-1]
    name = last.strip("_")
    if last.startswith("__i"):
        name = name[1:]
    return _SAME.get(name, name)


def node_of(callee: str) -> str | None:
    """What the op's node is called, in lower case and without a number; None if not known."""
    name = _own_name(callee)
    return name.replace("_", "") if name in _NAMED else None


def keeps_result(trace: Trace, op: int) -> bool | None:
    """Whether `op` keeps what it gives; None: perhaps."""
    return _keeps(trace, op, trace.ops.inputs_of(op), "r")


def keeps_input(trace: Trace, op: int, inputs: Sequence[int], value: int) -> bool | None:
    """Whether `op` keeps its input `value`; None: perhaps."""
    places = _places(trace, op, inputs, value)
    answers = [_keeps(trace, op, inputs, str(place)) for place in places]
    return True if True in answers else None if None in answers else False


def need(trace: Trace, op: int, inputs: Sequence[int], wanted: int, kept: int | None) -> Need:
    """How the gradient of the input `wanted` depends on the input `kept`; None: on the result."""
    words = _words(trace, op, inputs)
    if words is None:
        return Need.MAYBE
    keys = ["r"] if kept is None else [str(p) for p in _places(trace, op, inputs, kept)]
    found = [Need.NONE]
    for place, value in enumerate(inputs):
        if value == wanted and place < len(words):
            needed = words[place].partition("+")[0]
            for key in keys:
                if f"~{key}" in needed:
                    found.append(Need.REGION)
                elif key in needed:
                    found.append(Need.VALUE)
    return max(found)


def keeps_as_it_is(trace: Trace, op: int) -> bool:
    """Whether what `op` keeps are its inputs themselves: `x.data = y` changes them too."""
    return bare(trace.ops.callee_of(op).name) not in THROUGH_VIEWS


def saves(trace: Trace, op: int) -> bool:
    """Whether the node of an op may have saved tensors, which the engine frees when it has run."""
    callee = trace.ops.callee_of(op)
    name, count = bare(callee.name), len(trace.ops.inputs_of(op))
    if name == "getitem":  # a slice is a view; an index or a mask is saved
        return count > 1
    if callee.kind in (Kind.VIEW, Kind.CAST, Kind.ALIAS):
        return "dropout" in name
    return name not in KEEP_NOTHING and f"{name}:{count}" not in KEEP_NOTHING


def _words(trace: Trace, op: int, inputs: Sequence[int]) -> tuple[str, ...] | None:
    """The op's entry in the table of derivatives, empty if it keeps nothing; None: not listed."""
    callee = trace.ops.callee_of(op)
    name = bare(callee.name)
    by_count = f"{name}:{len(inputs)}"
    words = DERIVATIVES.get(by_count)
    if words is None and by_count not in KEEP_NOTHING:
        words = DERIVATIVES.get(name)
    if words is not None:
        return words
    listed = name in KEEP_NOTHING or by_count in KEEP_NOTHING
    return () if listed or callee.kind in _KEEPS_NOTHING else None


def _places(trace: Trace, op: int, inputs: Sequence[int], value: int) -> list[int]:
    """Where a value stands among the inputs; torch keeps a copy of what it is to write over."""
    first = 1 if trace.ops.callee_of(op).kind is Kind.WRITE else 0
    return [n for n, one in enumerate(inputs) if one == value and n >= first]


def _keeps(trace: Trace, op: int, inputs: Sequence[int], key: str) -> bool | None:
    words = _words(trace, op, inputs)
    if words is None:
        return None
    flags = trace.values.flags
    return any(
        key in re.sub(r"[+~.]", "", word)
        for word, value in zip(words, inputs, strict=False)
        if flags[value] & REQUIRES_GRAD
    )
