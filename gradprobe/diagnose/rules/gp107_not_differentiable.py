"""The op has no derivative.

`argmax`, comparisons, `searchsorted`, `bincount` and a custom op without an autograd formula give a
result that autograd does not connect to its input, with gradient recording on. A codebook lookup
by nearest index is the usual case in samplers.

Use a differentiable relaxation (softmax, a straight-through estimator), or register a backward for
the custom op (`torch.library.register_autograd`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradprobe.diagnose.blind_spots import suspects
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

_NO_FORMULA = re.compile(r"backward through (\w+)\.(\w+)\.\w+ but no autograd formula")
_EXPLAINED = (Kind.DETACH, Kind.CAST, Kind.HOST, Kind.COPY, Kind.PARAMETER, Kind.REENTRY)


def check(view: View) -> Iterator[Draft]:
    """Ops with recording on whose result has no grad_fn although an input requires grad."""
    yield from _unseen(view)
    yield from _without_formula(view)
    for found in view.breaks:
        if found.kind is None or found.kind in _EXPLAINED or found.grad_off:
            continue
        if found.hidden and found.result.differentiable:
            continue
        # A quantised tensor holds the values themselves, in steps.
        flat = not (found.result.differentiable or found.result.dtype.startswith("q"))
        beside = not view.total and found.cut.result not in instead_of(view)
        if flat and beside:
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
            certainty="suspected" if found.kind is Kind.UNSEEN else "proven",
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
    if found.kind is Kind.UNSEEN:
        return (
            f"{view.leaf.name}'s values go into {found.callee}, whose inside was not seen, and "
            "what comes out has no grad_fn"
        )
    return f"{found.callee} has no derivative: {view.leaf.name}'s gradient ends here"


def _without_formula(view: View) -> Iterator[Draft]:
    """torch stopped at a custom op that nobody gave a backward."""
    said = view.passed.raised if view.passed is not None else None
    named = _NO_FORMULA.search(said or "")
    if named is None:
        return
    ops = view.trace.ops
    name = f"torch.ops.{named[1]}.{named[2]}"
    for op in reversed(view.flow.ops):
        at = view.trace.frame_of(op)
        if ops.callee_of(op).name == name and at is not None:
            yield Draft(
                at=at,
                op=op,
                severity="error",
                message=f"{named[1]}::{named[2]} has no autograd formula: {view.leaf.name}'s "
                "gradient ends here, and torch says so by raising",
                fix="give the op a backward (torch.library.register_autograd)",
            )
            return


def _unseen(view: View) -> Iterator[Draft]:
    """Nothing that was seen uses the leaf, and something that feeds the root was made unseen."""
    for doubt in suspects(view):
        if doubt.at is None:
            continue
        name = "this tensor" if doubt.name is None else doubt.name
        if doubt.why == "unfilled":
            message = (
                f"no op was seen to write what {name} gave here, and it is read: if code outside "
                f"of torch filled it from {view.leaf.name}, the gradient ends there"
            )
        else:
            message = (
                f"no op was seen to make {name}: if code that could not be seen made it from "
                f"{view.leaf.name}, the gradient ended there"
            )
        yield Draft(
            at=doubt.at,
            certainty="suspected",
            severity="error",
            message=message,
            fix="compute it with torch functions in this thread, or give that code a backward "
            "(torch.autograd.Function, torch.library.register_autograd)",
        )


def _defined(view: View, found: Break) -> tuple[Related, ...]:
    call = view.data.functions.get(found.cut.op)
    if call is None or call.defined_at is None:
        return ()
    return (Related("its backward is defined", call.defined_at),)
