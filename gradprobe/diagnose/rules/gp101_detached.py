"""The tensor was detached.

`x.detach()`, `x.detach_()` and `x.data` give a tensor with the same values and no history: for
autograd it is a constant. Whatever is computed from it cannot send gradient back to the leaf.

In samplers it is often left over from code that saved memory, made a preview, or truncated
back-propagation on purpose. In a straight-through estimator, `x + (q - x).detach()` or
`hard - soft.detach() + soft`, the detach is meant and gradient takes the other way: that is a note,
not a loss, and so is all that only makes `q`. The same holds of `x - x.detach()` and
`x / x.detach()`, which are constants by value.

Remove the detach on the way to the loss; keep it only on copies for logging or previews.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.selection import only_selects
from gradprobe.graph.uncounted import left_as_it_was
from gradprobe.graph.view import Break, View
from gradprobe.records.op import Kind

CODE = "GP101"
NAME = "detached"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
for sigma in (80.0, 20.0, 5.0):
    denoised = 0.7 * x + 0.1
    x = x.detach() + 0.5 * (denoised - x).detach()  # <- GP101
loss = x.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
for sigma in (80.0, 20.0, 5.0):
    denoised = 0.7 * x + 0.1
    x = x + 0.5 * (denoised - x)
    preview = x.detach()
loss = x.pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Every `.detach()` or `.data` on the way from leaf to root; those that do no harm last."""
    yield from sorted(_drafts(view), key=lambda draft: draft.severity == "note")


def _drafts(view: View) -> Iterator[Draft]:
    for found in view.breaks:
        if found.kind is not Kind.DETACH:
            continue
        if not view.total and only_selects(view, found.cut.result):
            continue  # `x[x.detach().argsort()]`: a choice has no gradient to lose
        how = ".data" if found.callee == "Tensor.data" else f".{found.callee.split('.')[-1]}()"
        if _changed_nothing(view, found):
            yield Draft(
                of=found,
                at=found.at,
                severity="note",
                message=f"what was written through {how} left every element as it was: "
                f"{view.leaf.name}'s gradient is the same without it",
                fix="nothing to do unless another run changes an element: write to a new tensor",
            )
            continue
        yield Draft(
            of=found,
            at=found.at,
            message=f"{how} took {view.leaf.name}'s gradient off this tensor",
            fix=f"remove {how} here, or use it only on copies that do not feed {view.root_name}",
        )


def _changed_nothing(view: View, found: Break) -> bool:
    """`x.data.clamp_(-1, 1)` with all of x in there: the way on is through x itself."""
    ops, wrote = view.trace.ops, False
    seen, waiting = set(), [found.cut.result]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        for op in view.users(value):
            kind, inputs = ops.callee_of(op).kind, ops.inputs_of(op)
            if kind in (Kind.WRITE, Kind.OVERWRITE):
                other = [v for v in inputs if v != value and v in view.flow.between]
                if other or not left_as_it_was(view.data, op):
                    return False
                wrote = True
            elif kind not in (Kind.VIEW, Kind.ALIAS):
                return False
            waiting += [v for v in view.data.outputs(op) if v not in view.flow.connected]
    return wrote
