"""Gradient is lost, and no other rule says why.

This is the honest last word: what torch reported is certain, the reason was not found. It happens
when the loss lies in code that a function mode cannot see (see the sentences under "not seen" in
the report), or for a kind of failure that has no rule yet.

Please report such a program: each one becomes a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View

CODE = "GP114"
NAME = "unexplained"

BREAKS = """
import torch

z0 = torch.ones(4, requires_grad=True)
loss = (z0 * z0).sqrt().sum()
loss.backward(torch.tensor(0.0))  # <- GP114
"""

CLEAN = """
import torch

z0 = torch.ones(4, requires_grad=True)
loss = (z0 * z0).sqrt().sum()
loss.backward(torch.tensor(1.0))
"""


def check(view: View) -> Iterator[Draft]:
    """What a backward showed of the leaf, when that is no healthy gradient."""
    at = view.root_at
    if at is None:
        return
    leaf = view.leaf.name
    said = view.passed.raised if view.passed is not None else view.refused
    if said is not None and "does not require grad" not in said:
        words = said.splitlines()[0].split(" Hint:")[0]
        message = f"torch stopped: {words}"
    elif view.nonfinite:
        message = f"{leaf}'s gradient is not finite"
    elif view.zero:
        message = f"{leaf}'s gradient is exactly zero everywhere, along a graph that is whole"
    elif view.total:
        message = f"no gradient of {view.root_name} reaches {leaf}"
    else:
        return
    # Zeros and NaN are traced to their op only where every node was measured.
    measured = view.passed is not None and view.passed.numbers is not None
    look = not measured and (view.zero or view.nonfinite)
    yield Draft(
        at=at,
        severity="error",
        message=message,
        fix='measure every node: Probe(numerics="nodes"), or gradprobe trace --numerics nodes'
        if look
        else "see what the report says was not seen, and the stages for where it last was well",
    )
