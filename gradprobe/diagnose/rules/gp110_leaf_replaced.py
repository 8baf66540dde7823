"""What the program holds is no leaf.

`z0 = torch.randn(..., requires_grad=True).to(device)` or `.cuda()`, a dtype cast, or arithmetic in
the same expression gives the name to the *result*: a tensor in the middle of the graph. The leaf
itself has no name any more. Gradient reaches it, and `z0.grad` stays None (torch warns when it is
read); an optimiser refuses it: "can't optimize a non-leaf Tensor".

Move and cast first, then call `requires_grad_()` on the final tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.refusals import NON_LEAF
from gradprobe.diagnose.rule import Draft
from gradprobe.graph.dataflow import origins
from gradprobe.graph.view import View
from gradprobe.records.source import Frame, Related

CODE = "GP110"
NAME = "leaf-replaced"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True).to(torch.float64)  # <- GP110
loss = (z0 * 80.0).pow(2).mean()
loss.backward()
print(z0.grad)
"""

CLEAN = """
import torch

z0 = torch.randn(4).to(torch.float64).requires_grad_()
loss = (z0 * 80.0).pow(2).mean()
loss.backward()
print(z0.grad)
"""


def check(view: View) -> Iterator[Draft]:
    """A read of `.grad` on a tensor that took the leaf's name, or an optimizer that refused it."""
    leaf = view.leaf
    if view.refused is not None and NON_LEAF in view.refused:
        yield from _refused(view)
        return
    for read in view.trace.reads:
        made_by = view.data.producer[read.value]
        if made_by < 0 or not any(v in leaf.values for v in origins(view.data, read.value)):
            continue
        at = view.place_of(made_by)
        if at is None or not (read.name == leaf.name or _same_statement(view, at)):
            continue
        related = (Related(".grad was read", read.at),) if read.at is not None else ()
        yield Draft(
            at=at,
            severity="error",
            related=related,
            message=f"{leaf.name} is not the leaf but a result of it: {leaf.name}.grad stays None",
            fix="move, cast or scale first, then call requires_grad_() on the final tensor",
        )
        return


def _refused(view: View) -> Iterator[Draft]:
    """An optimizer was given a result of the leaf in its place."""
    given = next((v for v in view.flow.roots if v in view.flow.between), None)
    at = None if given is None else view.place_of(view.data.producer[given])
    if at is None or view.root_at is None:
        return
    yield Draft(
        at=at,
        severity="error",
        related=(Related("given to the optimizer", view.root_at),),
        message=f"{view.root_name} was given a result of {view.leaf.name}, which is no leaf",
        fix="move, cast or scale first, then call requires_grad_() on the final tensor and give "
        "that to the optimizer",
    )


def _same_statement(view: View, at: Frame) -> bool:
    statement = view.leaf.statement
    return (
        statement is not None
        and at.file == statement.file
        and statement.line <= at.line <= statement.end_line
    )
