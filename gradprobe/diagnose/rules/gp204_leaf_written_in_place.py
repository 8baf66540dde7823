"""A leaf that requires grad was written in place, with gradient recording on.

A leaf is what gradients are given to. After `z0 += noise` it would be a result, and its own earlier
value would have no place in the graph, so torch refuses the write: "a leaf Variable that requires
grad is being used in an in-place operation". The same holds of a write through a view of it:
`z0[0] = 1`.

Make a new tensor (`x = z0 + noise`) and go on with that. If it is an update of the leaf itself, do
it under `torch.no_grad()`; if it is part of making the leaf, do it before `requires_grad_()`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.backward import RaisedOp
from gradprobe.records.op import Kind
from gradprobe.records.sampling import LeafMark

CODE = "GP204"
NAME = "leaf-written-in-place"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
z0 *= 80.0  # <- GP204
loss = (0.7 * z0 + 0.1).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
for _ in range(3):
    x = z0 * 80.0
    x[0] = 0.0
    x += 1.0
    loss = (0.7 * x + 0.1).pow(2).mean()
    z0.grad = None
    loss.backward()
    with torch.no_grad():
        z0 -= 1e-4 * z0.grad
        z0[0] = 0.0
"""

_SAID = "a leaf Variable that requires grad is being used in an in-place operation"
_VIEW = "a view of a leaf Variable"


def check(view: View) -> Iterator[Draft]:
    """The op in the forward that torch refused."""
    at = view.root_at
    if at is None or view.refused is None or _SAID not in view.refused:
        return
    raised = next((r for r in reversed(view.trace.raised) if r.message == view.refused), None)
    if raised is None:
        return
    mark = _written(view, raised)
    name = mark.name if mark is not None else "a leaf"
    what = f"a view of {name}" if _VIEW in view.refused else name
    yield Draft(
        at=at,
        op=raised.at_op,
        severity="error",
        message=f"{raised.callee} writes {what} in place: {name} is a leaf that requires grad",
        fix=f"make a new tensor of it (x = {name} + ...), or, if this updates {name} itself, do it "
        "under torch.no_grad()",
    )


def _written(view: View, raised: RaisedOp) -> LeafMark | None:
    """The leaf that was to be written: the first of the op's arguments that is on a leaf's memory.

    A write changes its first argument; one to many tensors (`torch._foreach_add_`) those of a list.
    """
    marks = {value: mark for mark in view.trace.leaves for value in mark.values}
    for value in raised.inputs:
        current = value
        while current not in marks:
            made = view.data.producer[current]
            inputs = view.data.inputs(made) if made >= 0 else ()
            if not inputs or view.trace.ops.callee_of(made).kind not in (Kind.VIEW, Kind.SELECT):
                break
            current = inputs[0]
        mark = marks.get(current)
        if mark is not None and mark.requires_grad:
            return mark
    return None
