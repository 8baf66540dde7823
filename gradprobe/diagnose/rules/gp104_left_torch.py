"""The values left torch.

`.item()`, `float(x)`, `.tolist()`, `.numpy()`, `np.asarray(x)` and DLPack hand the values to code
that autograd cannot follow. If they come back as a number, a list or an array, the tensor made of
them is a constant.

The finding names the exit; where the data came back is given beside it. When the very number, list
or array came back, that is proven; when only a tensor of the same shape appeared later, it is
suspected. With `--follow-host on`, and in the second run that `gradprobe trace` makes where it may
tell more, numbers and arrays are followed through Python and NumPy, and what comes back is proven.

Do the computation with torch functions (`torch.clamp` for `np.clip`, a tensor `std` in place of
`std().item()`), or keep the host copy for logging only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.selection import only_selects
from gradprobe.graph.view import Break, View
from gradprobe.records.op import Kind
from gradprobe.records.source import Frame, Related
from gradprobe.records.trace import Exit, Reentry

CODE = "GP104"
NAME = "left-torch"

BREAKS = """
import numpy as np
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
image = np.clip(x.detach().numpy(), -1, 1)  # <- GP104
loss = torch.from_numpy(image).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
print(x.detach().numpy().max(), x.std().item())
loss = (x / x.std()).mean()
loss.backward()
"""


_WAYS = {
    "__float__": "float()",
    "__int__": "int()",
    "__array__": "np.asarray()",
    "__dlpack__": "DLPack",
    "pickle": "a pickle for another process",
}


def check(view: View) -> Iterator[Draft]:
    """Values that went out of torch and came back on the way to the root."""
    for found in view.breaks:
        returned = view.reentry_of(found.cut.result, found.cut.source)
        if returned is not None:
            exit = view.trace.exits[returned.exit]
            if _may_be_chance(view, exit, returned) or _chooses(view, returned):
                continue
            draft = _draft(view, found, exit, returned)
            yield _of_step_size(view, draft) if _sets_step_size(view, exit, returned) else draft
            continue
        # `x.detach().numpy()`: the detach is only there so that torch allows the exit.
        for exit in _exits_at(view, found):
            returned = _return_of(view, exit)
            if returned is None or _may_be_chance(view, exit, returned):
                continue
            if not _chooses(view, returned):
                yield _draft(view, found, exit, returned)
                break
    yield from _refused(view)


def _exits_at(view: View, found: Break) -> list[Exit]:
    """How a value left torch, itself or as a view that the same line made of it."""
    every = view.exits_of(found.cut.result)
    waiting = [found.cut.result]
    while waiting:
        for op in view.users(waiting.pop()):
            at = view.place_of(op)
            same_line = at is not None and (at.file, at.line) == (found.at.file, found.at.line)
            if same_line and view.trace.ops.callee_of(op).kind in (Kind.VIEW, Kind.CAST):
                for value in view.data.outputs(op):
                    every += view.exits_of(value)
                    waiting.append(value)
    return every


def _may_be_chance(view: View, exit: Exit, returned: Reentry) -> bool:
    """Integers left, beside a way that carries gradient, and some of the same shape came later.

    A label is often of the shape of a predicted one. Integers have no gradient to lose.
    """
    left = view.trace.values.describe(exit.value)
    return not (returned.proven or left.differentiable or view.total)


def _chooses(view: View, returned: Reentry) -> bool:
    """Integers came back, and are an index into what carries gradient."""
    flat = not view.trace.values.describe(returned.value).differentiable
    return flat and not view.total and only_selects(view, returned.value)


def _sets_step_size(view: View, exit: Exit, returned: Reentry) -> bool:
    """A library's adaptive solver computed its next step of a number that left torch.

    That number meets other numbers first, such as the time. `x * number` is no choice of a step.
    """
    at = view.place_of(exit.op)
    if view.total or returned.same or at is None or not at.installed:
        return False
    values = view.trace.values
    if values.describe(exit.value).shape or values.describe(returned.value).shape:
        return False
    made = [v for op in view.users(returned.value) for v in view.data.outputs(op)]
    return bool(made) and not any(values.describe(v).shape for v in made)


def _of_step_size(view: View, draft: Draft) -> Draft:
    return replace(
        draft,
        severity="note",
        message="a solver chose its step size by a number that left torch: "
        f"{view.leaf.name}'s gradient treats the step size as a constant",
        fix="nothing to do unless the step size itself should be differentiated",
    )


def _return_of(view: View, exit: Exit) -> Reentry | None:
    number = view.trace.exits.index(exit)
    every = (*view.trace.reentries, *view.data.suspected.values())
    return next((r for r in every if r.exit == number and r.value in view.flow.feeding), None)


def _draft(view: View, found: Break, exit: Exit, returned: Reentry) -> Draft:
    came_back = view.place_of(returned.op)
    how = _way(exit.through)
    at = view.place_of(exit.op) or found.at
    back = "the number" if exit.through in ("item", "__float__", "__index__") else "the data"
    return Draft(
        of=found,
        at=at,
        certainty="proven" if returned.proven else "suspected",
        message=f"{view.leaf.name}'s values leave torch through {how}, "
        f"and {back} {'comes' if returned.proven else 'seems to come'} back as a constant",
        fix="compute this with torch functions instead, so that autograd can follow",
        related=(Related("came back", came_back),) if came_back is not None else (),
    )


def _way(through: str) -> str:
    return _WAYS.get(through, f".{through}()")


def _refused(view: View) -> Iterator[Draft]:
    """torch would not let a tensor out that requires grad, and said so by raising."""
    for op in view.trace.raised:
        if "that requires grad" not in op.message or "numpy" not in op.message:
            continue
        if not any(value in view.flow.connected for value in op.inputs):
            continue
        at: Frame | None = view.trace.frames[op.site]
        if at is not None:
            yield Draft(
                at=at,
                severity="error",
                message=f"{view.leaf.name}'s values cannot leave torch here: {op.message}",
                fix="do this step with torch functions; a .detach() would only hide the loss",
            )
