"""An op must save a tensor for backward that was made in inference mode, and may not.

A tensor made under `torch.inference_mode()` has no version counter, so autograd cannot tell whether
it is still what it was, and refuses to save it: prompt embeddings computed in inference mode, fed
to a layer whose weights require grad. An in-place write to such a tensor is refused for the same
reason. The finding names the op and, as its cause, the inference scope.

Use `torch.no_grad()` in place of `torch.inference_mode()`, or take a `.clone()` of the tensor once
the scope is left. If the layer's weights need no gradient, freezing them (`requires_grad_(False)`)
also helps: nothing is saved then.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.op import INFERENCE, Kind
from gradprobe.records.source import Related
from gradprobe.records.trace import Region

CODE = "GP205"
NAME = "inference-tensor-saved"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
with torch.inference_mode():  # <- opens
    scale = torch.ones(4) * 80.0
loss = (z0 * scale).pow(2).mean()  # <- GP205
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
with torch.inference_mode():
    scale = torch.ones(4) * 80.0
loss = (z0 * scale.clone()).pow(2).mean()
loss.backward()
"""

_SAVED = "Inference tensors cannot be saved"
_WRITTEN = "Inplace update to inference tensor"
# They give the tensor that came in, or its memory, and it stays what it was.
_WRITES = (Kind.WRITE, Kind.ALIAS)
_VIEWS = (Kind.VIEW, Kind.DETACH, Kind.SELECT)


def check(view: View) -> Iterator[Draft]:
    """An op that torch refused because of a tensor made in inference mode."""
    said = view.refused
    if said is None or view.root_at is None or (_SAVED not in said and _WRITTEN not in said):
        return
    tensors = [v for op in view.trace.raised if op.message == said for v in op.inference]
    mine = [v for v in tensors if v in view.flow.roots]
    made = next((op for v in mine if (op := _made_at(view, v)) is not None), None)
    region = None if made is None else view.trace.regions[view.trace.ops.region_of(made)]
    place = None if made is None else view.place_of(made)
    yield Draft(
        at=view.root_at,
        opened_by=None if region is None else region.opened_by,
        related=() if place is None else (Related("made in inference mode", place),),
        severity="error",
        certainty="proven" if mine else "suspected",
        message=_message(view, region, said),
        fix=_fix(view, made, region),
    )


def _made_at(view: View, value: int) -> int | None:
    """The op in inference mode that made a value, or what it is a view or a later state of."""
    ops = view.trace.ops
    while (op := view.data.producer[value]) >= 0:
        kind, inputs = ops.callee_of(op).kind, view.data.inputs(op)
        if ops.flags_of(op) & INFERENCE and kind not in _WRITES:
            return op
        if kind not in (*_VIEWS, *_WRITES) or not inputs:
            return None
        value = inputs[0]
    return None


def _message(view: View, region: Region | None, said: str) -> str:
    what = "a tensor made"
    if region is None or region.opened_by is None:
        what += " in inference mode"
    elif region.how == "decorator":
        what += f" in {region.decorated}, which is decorated with @{region.by},"
    else:
        what += f" inside `with {region.by}`"
    if _WRITTEN in said:
        return f"{what} is written in place by {view.root_name} outside of it"
    return f"{view.root_name} must save {what} for backward, and autograd refuses that"


def _fix(view: View, made: int | None, region: Region | None) -> str:
    if made is not None and any(v in view.flow.between for v in view.data.outputs(made)):
        return f"leave inference mode before {view.leaf.name}'s values are used"
    return (
        "use torch.no_grad() in place of torch.inference_mode(), or pass a .clone() of the "
        "tensor, taken outside of inference mode"
    )
