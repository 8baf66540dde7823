"""A gradient was multiplied by an exact zero.

The value is part of the result with a coefficient of 0, so that its derivative is 0: the graph is
whole, the way is *connected, with coefficient 0*. Samplers do this by right: with a last sigma of 0
the Euler step multiplies the state by 0, and with `s_churn = 0` the scale of the step noise is
`sqrt(0)`. It is an error only where no other way brings gradient to the leaf.

A network whose last layer was initialised to zeros, as many guidance networks and UNets are, gives
the same picture: its Jacobian is zero as long as these weights are.

The finding names the product and, where it can be read from the program, the variable that made the
factor zero. Give the factor another value, let the way begin elsewhere, or train the layer first.

Named by `gradprobe trace`, which runs the program again to find it, and under
`Probe(numerics="nodes")`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import ended, reason_of, zero_operand
from gradprobe.graph.node_flow import Turn
from gradprobe.graph.view import View
from gradprobe.records.source import Frame, Related
from gradprobe.records.tensor import PARAMETER

CODE = "GP304"
NAME = "scaled-to-zero"
NUMERICS = "nodes"

BREAKS = """
import torch

s_churn = 0.0
noise_scale = 80.0 * s_churn
z0 = torch.randn(4, requires_grad=True)
x = torch.ones(4)
x = x + z0 * noise_scale  # <- GP304
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

s_churn = 0.0
noise_scale = 80.0 * s_churn
z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
x = x + z0 * noise_scale
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Where a gradient ended in a product. A note where the leaf has gradient all the same."""
    if view.nonfinite or view.grad is None:
        return
    ends = ended(view)
    other = any(reason_of(turn) != "scaled" for turn in ends)
    for turn in ends:
        at = view.place_of(turn.node.op)
        if at is None or reason_of(turn) != "scaled":
            continue
        source = _made_zero(view, turn)
        yield Draft(
            at=at,
            op=turn.node.op,
            # Beside another reason the schedule's own zeros are none.
            severity="note" if not view.zero else "warning" if other else "error",
            related=(Related("made zero here", source),) if source not in (None, at) else (),
            message=_message(view, turn),
            fix="give this factor another value, or let gradient take another way",
        )


def _message(view: View, turn: Turn) -> str:
    name = view.trace.ops.callee_of(turn.node.op).name
    ended = f"a gradient of at most {turn.came:.3g} became exactly zero: connected, coefficient 0"
    factor = view.trace.forward.factors.get(turn.node.op) if view.trace.forward else None
    if factor is not None:
        because = f" because {factor.because} is 0" if factor.because else ""
        return f"{name} multiplies by {factor.name}, which is 0{because}; {ended}"
    zero = zero_operand(turn)
    value = _zero_input(view, turn)
    if value is not None and view.trace.values.has(value, PARAMETER):
        return f"the weights of {name} are all zero, so is its Jacobian; {ended}"
    if zero is not None and zero.name == "self" and turn.edge == 0:
        return f"the derivative of {name} is zero where its input is, and all of it is 0; {ended}"
    return f"{name} multiplies by a factor that is exactly 0; {ended}"


def _zero_input(view: View, turn: Turn) -> int | None:
    """The value that the gradient was multiplied by: all zeros, off the way if there is such."""
    forward = view.trace.forward
    if forward is None or turn.node.op < 0:
        return None
    taken = [v for v in view.data.inputs(turn.node.op) if v in forward.extents]
    zero = [v for v in taken if forward.extents[v].low == 0 == forward.extents[v].high]
    return min(zero, key=lambda v: v in view.flow.between, default=None)


def _made_zero(view: View, turn: Turn) -> Frame | None:
    """Where the factor became zero: back through ops that took it as it was."""
    forward = view.trace.forward
    factor = forward.factors.get(turn.node.op) if forward is not None else None
    if factor is not None:
        return factor.at
    value = _zero_input(view, turn)
    if value is None or forward is None:
        return None
    while True:
        op = view.data.producer[value]
        if op < 0:
            return None
        before = [
            v
            for v in view.data.inputs(op)
            if v in forward.extents and forward.extents[v].low == 0 == forward.extents[v].high
        ]
        if not before or before[0] >= value:
            return view.place_of(op)
        value = before[0]
