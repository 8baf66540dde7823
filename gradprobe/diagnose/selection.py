"""What integer or boolean values do on their way to the root: shared by several rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import prod
from typing import Literal

from gradprobe.graph.view import View
from gradprobe.records.op import Kind

# `selects`: an index or a mask of others. `weighs`: another tensor is multiplied by it, bounded by
# it, or otherwise taken beside it. `joins`: it is a part of the result in its own right.
Use = Literal["selects", "weighs", "joins"]

# Their result is made of each operand's own values.
_JOINING = frozenset(
    {"add", "sub", "rsub", "subtract", "__add__", "__radd__", "__sub__", "__rsub__", "__iadd__"}
    | {"__isub__", "cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack"}
)
_MULTIPLYING = frozenset(
    {"mul", "multiply", "div", "divide", "true_divide", "__mul__", "__rmul__", "__truediv__"}
    | {"__imul__", "__itruediv__", "__matmul__", "matmul", "mm", "bmm", "einsum", "addcmul", "lerp"}
)
_NO_CHOICE = "one_hot"  # it is given an index, and nothing that the index would choose from


def only_selects(view: View, value: int) -> bool:
    """Whether `value`, or what is computed from it, reaches the root only as an index or a mask.

    `x[order]` or `torch.where(mask, a, b)` pass the gradient of what was chosen, and the choice
    itself has derivative zero almost everywhere: nothing is lost there. Of a value whose uses were
    not seen, such as one inside a checkpoint, nothing is known.
    """
    use, was_seen = _use(view, value)
    return was_seen and use == "selects"


def use_of(view: View, value: int) -> Use:
    """How `value`, which carries no gradient, takes part in the root; the strongest of its uses."""
    return _use(view, value)[0]


def _use(view: View, value: int) -> tuple[Use, bool]:
    """The strongest use, and whether any choice by the value was seen."""
    chose = False
    trace = view.trace
    found: Use = "selects"
    waiting, seen = [value], {value}
    while waiting:
        current = waiting.pop()
        if current in view.flow.roots:
            return "joins", chose
        for back in _came_back(view, current):
            if back not in seen:
                seen.add(back)
                waiting.append(back)
        for op in view.users(current):
            callee = trace.ops.callee_of(op)
            name = callee.name.rsplit(".", 1)[-1].removesuffix("_")
            chooses = callee.kind in (Kind.SELECT, Kind.WRITE) and name != _NO_CHOICE
            if chooses and not trace.values.describe(current).differentiable:
                chose = True
                continue
            if name in _MULTIPLYING and _takes_another(view, op, seen):
                found = "weighs"
                continue
            for result in view.data.outputs(op):
                if result not in view.flow.between:
                    continue
                if result in view.flow.connected:  # by another operand
                    if name in _JOINING:
                        return "joins", chose
                    found = "weighs"
                elif result not in seen:
                    seen.add(result)
                    waiting.append(result)
    return found, chose


def _came_back(view: View, value: int) -> Iterator[int]:
    """What may have been made outside torch from a value that left it; of an integer, by chance."""
    if not view.trace.values.describe(value).differentiable:
        return
    for result, returned in view.data.suspected.items():
        if result in view.flow.between and view.trace.exits[returned.exit].value == value:
            yield result


def _takes_another(view: View, op: int, own: Collection[int]) -> bool:
    """Whether an op takes a tensor that is none of `own`, and more than one number."""
    others = (v for v in view.data.inputs(op) if v not in own)
    return any(prod(view.trace.values.describe(v).shape) > 1 for v in others)
