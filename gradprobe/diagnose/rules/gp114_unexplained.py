"""Gradient is lost, and no other rule says why.

Where torch raised for a reason of autograd's that has no rule of its own, the finding says in plain
words what torch's message means, and what to do.

Else this is the honest last word: what torch reported is certain, the reason was not found. It
happens when the loss lies in code that a function mode cannot see (see the sentences under "not
seen" in the report), or for a kind of failure that has no rule yet.

Please report such a program: each one becomes a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradprobe.diagnose.refusals import refusal_of
from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.turning import measured
from gradprobe.graph.view import View
from gradprobe.records.source import Frame, Related

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

_MEASURE = 'measure every node: Probe(numerics="nodes"), or gradprobe trace --numerics nodes'
_FIX = "see what the report says was not seen, and the stages for where it last was well"


def check(view: View) -> Iterator[Draft]:
    """What a backward showed of the leaf, when that is no healthy gradient."""
    at = view.root_at
    if at is None or (view.refused is not None and view.others and not view.flow.used):
        return  # torch refused what another leaf feeds
    leaf = view.leaf.name
    related: tuple[Related, ...] = ()
    said = view.passed.raised if view.passed is not None else view.refused
    fix = _FIX
    if said is not None and "does not require grad" not in said:
        words = re.split(r" Hint:|(?<!\.)\. ", said.splitlines()[0])[0].rstrip(".")
        message = f"torch stopped: {words}"
        refusal = refusal_of(said)
        if refusal is not None and refusal.means:
            message, fix = f"{refusal.means} (torch: {words})", refusal.fix
        at, related = _function(view, said) or at, (Related("raised at", at),)
    elif view.nonfinite:
        message, fix = f"{leaf}'s gradient is not finite", _look(view)
    elif view.zero:
        message = f"{leaf}'s gradient is exactly zero everywhere, along a graph that is whole"
        fix = _look(view)
    elif view.total:
        message = f"no gradient of {view.root_name} reaches {leaf}"
    else:
        return
    yield Draft(
        at=at,
        severity="error",
        message=message,
        fix=fix,
        related=related if related[:1] != (Related("raised at", at),) else (),
    )


def _look(view: View) -> str:
    """Zeros and NaN are traced to their op only where every node was measured."""
    return _FIX if measured(view) else _MEASURE


def _function(view: View, said: str) -> Frame | None:
    """Where the custom Function's backward is defined whose result torch refused."""
    named = re.search(r"[Ff]unction (\w+)Backward returned", said)
    calls = view.data.functions.values()
    found = [c.defined_at for c in calls if named is not None and c.name == named[1]]
    return found[0] if found else None
