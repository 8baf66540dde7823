"""Whether integer or boolean values only choose among others: shared by GP106 and GP107."""

from __future__ import annotations

from gradprobe.graph.view import View
from gradprobe.records.op import Kind


def only_selects(view: View, value: int) -> bool:
    """Whether `value` reaches the root only as an index or a mask.

    `x[order]` or `torch.where(mask, a, b)` pass the gradient of what was chosen, and the choice
    itself has derivative zero almost everywhere: nothing is lost there.
    """
    waiting, seen = [value], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for op in view.users(current):
            if view.trace.ops.callee_of(op).kind in (Kind.SELECT, Kind.WRITE):
                continue
            for result in view.data.outputs(op):
                if result not in view.flow.between:
                    continue
                if view.trace.values.describe(result).differentiable:
                    return False
                waiting.append(result)
    return True
