"""A gradient stopped being finite.

Some derivatives are infinite at a point: that of `sqrt`, `norm` and `x ** 0.5` at 0, of `log` and
`1 / x` at 0, of `acos` at 1. The infinite gradient is born there; one node further a factor of 0
makes NaN of it (`0 * inf`), and NaN is all that arrives. `torch.where` and a mask do not help: the
other branch takes part in the backward, with a gradient of 0.

The finding names the op whose derivative first was not finite, with the element, and what went in
there. Where the values themselves were not finite already in the forward, it names the op that
first gave such a value.

Keep the argument away from the point before the op (`(x * x + 1e-12).sqrt()`, `x.clamp(min=1e-6)`),
or replace it where the other branch is taken, before the op and not after it.

Named by `gradprobe trace`, which runs the program again to find it, and under
`Probe(numerics="nodes")`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import born, kind_of, reason_of
from gradprobe.graph.forward_birth import first_not_finite
from gradprobe.graph.node_flow import Turn
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP302"
NAME = "nonfinite-gradient"
NUMERICS = "nodes"

BREAKS = """
import torch

z0 = torch.zeros(4, requires_grad=True)
x = z0 * 80.0
r = (x * x).sum().sqrt()  # <- GP302
loss = (x + r).mean()
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.zeros(4, requires_grad=True)
x = z0 * 80.0
r = ((x * x).sum() + 1e-12).sqrt()
loss = (x + r).mean()
loss.backward()
"""

_SHOWN = {"self": "input", "other": "other operand", "result": "result", "exponent": "exponent"}


def check(view: View) -> Iterator[Draft]:
    """Where Inf or NaN was born, in the forward or in the backward."""
    if not view.nonfinite:
        return
    for turn in born(view):
        draft = _in_forward(view, turn) or _in_backward(view, turn)
        if draft is not None:
            yield draft


def _in_forward(view: View, turn: Turn) -> Draft | None:
    """The values were not finite to begin with."""
    op = first_not_finite(view.data, turn.node.op)
    at = view.place_of(op) if op is not None else None
    if op is None or at is None:
        return None
    extents = view.trace.forward.extents if view.trace.forward is not None else {}
    given = next((extents[v] for v in view.data.outputs(op) if v in extents), None)
    taken = [extents[v] for v in view.data.inputs(op) if v in extents]
    name = view.trace.ops.callee_of(op).name
    what = "NaN" if given is None or math.isnan(given.low) else "Inf"
    low, high = min((e.low for e in taken), default=0.0), max((e.high for e in taken), default=0.0)
    span = f"values between {low:.4g} and {high:.4g}" if low != high else f"{low:.4g}"
    seen = f", from {span}" if taken else ""
    here = view.place_of(turn.node.op)
    return Draft(
        at=at,
        op=op,
        severity="error",
        related=(Related("gradient not finite here", here),) if here not in (None, at) else (),
        message=f"{name} gave {what} in the forward{seen}: no gradient behind it is finite",
        fix="keep the argument inside the function's domain before this op (clamp, or add a small "
        "number)",
    )


def _in_backward(view: View, turn: Turn) -> Draft | None:
    at = view.place_of(turn.node.op)
    if at is None or reason_of(turn) == "overflow":
        return None  # GP305's
    name = view.trace.ops.callee_of(turn.node.op).name if turn.node.op >= 0 else kind_of(turn)
    what = "NaN" if math.isnan(turn.went) else "Inf"
    return Draft(
        at=at,
        op=turn.node.op,
        severity="error",
        message=f"the derivative of {name} is not finite: {_told(turn, what)}",
        fix="keep the argument away from this point before the op: add a small number, or clamp it",
    )


def _told(turn: Turn, what: str) -> str:
    """The numbers at the element where it happened."""
    witness = turn.node.witness
    if witness is None or witness.element is None:
        return f"a gradient of at most {turn.came:.4g} became {what}"
    values = [f"{_SHOWN.get(s.name, s.name)} {s.at:.4g}" for s in witness.saved if s.at is not None]
    values += [
        f"{_SHOWN.get(s.name, s.name)} {s.low:.4g}"
        for s in witness.saved
        if s.shape is None and s.name in ("exponent", "ord", "p")
    ]
    place = f" at element {list(witness.element)}" if witness.element else ""
    came = (
        f"a gradient of {witness.came:.4g}"
        if witness.came is not None
        else (f"a gradient of at most {turn.came:.4g}")
    )
    went = witness.went if witness.went is not None else turn.went
    inside = f" ({', '.join(values)})" if values else ""
    became = f"{went:.4g}".replace("nan", "NaN").replace("inf", "Inf")
    return f"{came} became {became}{place}{inside}"
