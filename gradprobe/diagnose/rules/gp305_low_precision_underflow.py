"""A gradient left the range of its precision.

float16 holds nothing below 6e-8 and nothing above 65504; bfloat16 has the range of float32. A loss
that is divided by the number of elements, or multiplied by a small weight, has gradients below
that: in float16 they become exactly zero at the first op that scales them down, and nothing
arrives. The other way round a gradient that is too large becomes Inf.

The finding names that op, with the magnitudes before and after, and where the values became low
precision.

Scale the loss (`torch.amp.GradScaler`), compute the loss in float32 (`x.float()`), or use bfloat16.

Named by `gradprobe trace`, which runs the program again to find it, and under
`Probe(numerics="nodes")`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import born, ended, reason_of
from gradprobe.graph.node_flow import Turn
from gradprobe.graph.precision import narrowed
from gradprobe.graph.view import View
from gradprobe.records.source import Frame, Related

CODE = "GP305"
NAME = "low-precision-underflow"
NUMERICS = "nodes"

BREAKS = """
import torch

z0 = torch.ones(4, requires_grad=True)
x = z0.half()  # <- opens
loss = x.mean() * 1e-7  # <- GP305
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.ones(4, requires_grad=True)
x = z0.half()
loss = x.float().mean() * 1e-3
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Where a gradient became zero or Inf because of its precision alone."""
    if not (view.zero or view.nonfinite):
        return
    turns = ended(view) if view.zero else born(view)
    for turn in turns:
        at = view.place_of(turn.node.op)
        if at is None or reason_of(turn) not in ("underflow", "overflow"):
            continue
        entered = [_asked(view, op) for op in narrowed(view.data, view.flow, turn.dtype)]
        frames = [frame for frame in dict.fromkeys(entered) if frame not in (None, at)]
        yield Draft(
            at=at,
            op=turn.node.op,
            opened_by=frames[0] if frames else None,
            related=tuple(Related(f"{turn.dtype} from here", f) for f in frames[1:3] if f),
            severity="error",
            message=_message(view, turn),
            fix="scale the loss (torch.amp.GradScaler), compute it in float32 (x.float()), or use "
            "bfloat16"
            if view.zero
            else "make the loss or its scale smaller, or use bfloat16",
        )


def _asked(view: View, op: int) -> Frame | None:
    """Where the program asked for a cast: `model.half()`, not what a library does of it."""
    trace = view.trace
    site, seen = trace.ops.site[op], set[int]()
    while site and site not in seen and site < len(trace.callers):
        seen.add(site)
        frame = trace.frames[site]
        if frame is not None and not frame.installed:
            return frame
        site = trace.callers[site]
    return view.place_of(op)


def _message(view: View, turn: Turn) -> str:
    name = view.trace.ops.callee_of(turn.node.op).name
    became = "exactly zero" if turn.went == 0 else "NaN" if math.isnan(turn.went) else "Inf"
    bound = "below the smallest" if turn.went == 0 else "above the largest"
    return (
        f"in the backward of {name} a gradient of at most {turn.came:.3g} became {became}: it went "
        f"{bound} number of {turn.dtype}"
    )
