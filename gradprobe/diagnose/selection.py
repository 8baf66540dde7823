"""Whether integer or boolean values only choose among others: shared by several rules."""

from __future__ import annotations

from gradprobe.graph.view import View
from gradprobe.records.op import Kind


def only_selects(view: View, value: int) -> bool:
    """Whether `value`, or what is computed from it, reaches the root only as an index or a mask.

    `x[order]` or `torch.where(mask, a, b)` pass the gradient of what was chosen, and the choice
    itself has derivative zero almost everywhere: nothing is lost there.
    """
    values = view.trace.values
    waiting, seen = [value], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for op in view.users(current):
            kind = view.trace.ops.callee_of(op).kind
            if kind in (Kind.SELECT, Kind.WRITE) and not values.describe(current).differentiable:
                continue
            for result in view.data.outputs(op):
                if result not in view.flow.between:
                    continue
                if result in view.flow.connected or result in view.flow.roots:
                    return False
                waiting.append(result)
    return True
