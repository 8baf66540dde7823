"""The op has no derivative.

`argmax`, comparisons, `searchsorted`, `bincount` and a custom op without an autograd formula give a
result that autograd does not connect to its input, with gradient recording on. A codebook lookup
by nearest index is the usual case in samplers.

Use a differentiable relaxation (softmax, a straight-through estimator), or register a backward for
the custom op (`torch.library.register_autograd`).
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.selection import use_of
from gradprobe.diagnose.turning import instead_of
from gradprobe.graph.view import Break, View
from gradprobe.records.op import Kind
from gradprobe.records.source import Related

CODE = "GP107"
NAME = "not-differentiable"

BREAKS = """
import torch

z0 = torch.randn(4, 3, requires_grad=True)
codebook = torch.randn(3, 8)
nearest = (z0 * 0.5).argmax(dim=1)  # <- GP107
loss = codebook[nearest].pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, 3, requires_grad=True)
codebook = torch.randn(3, 8)
best, where = (z0 * 0.5).topk(2, dim=1)
loss = (z0.gather(1, where).sum(1) * best[:, 0] + (z0.softmax(1) @ codebook).sum(1)).mean()
loss.backward()
"""

_EXPLAINED = (Kind.DETACH, Kind.CAST, Kind.HOST, Kind.COPY, Kind.PARAMETER, Kind.REENTRY)


def check(view: View) -> Iterator[Draft]:
    """Ops with recording on whose result has no grad_fn although an input requires grad."""
    for found in view.breaks:
        if found.kind is None or found.kind in _EXPLAINED or found.grad_off:
            continue
        if found.hidden and found.result.differentiable:
            continue
        beside = not view.total and found.cut.result not in instead_of(view)
        if beside and not found.result.differentiable:
            # The derivative through a comparison or an index is zero almost everywhere: where it
            # chooses or weighs what carries gradient, nothing is lost.
            use = use_of(view, found.cut.result)
            if use == "weighs":
                yield Draft(
                    of=found,
                    at=found.at,
                    severity="note",
                    message=f"{found.callee} has derivative zero almost everywhere: "
                    f"{view.leaf.name}'s gradient takes the other way",
                    fix="nothing to do unless this branch should carry gradient",
                )
            if use != "joins":
                continue
        yield Draft(
            of=found,
            at=found.at,
            related=_defined(view, found),
            message=_message(view, found),
            fix="use a differentiable relaxation, or give the op a backward "
            "(torch.library.register_autograd)",
        )


def _message(view: View, found: Break) -> str:
    if found.kind is Kind.FUNCTION:
        return (
            f"{found.callee} returns a tensor without grad_fn: {view.leaf.name} is not among the "
            "tensors that were passed to it as arguments, or is marked non-differentiable"
        )
    return f"{found.callee} has no derivative: {view.leaf.name}'s gradient ends here"


def _defined(view: View, found: Break) -> tuple[Related, ...]:
    call = view.data.functions.get(found.cut.op)
    if call is None or call.defined_at is None:
        return ()
    return (Related("its backward is defined", call.defined_at),)
