"""A backward goes through a graph that an earlier backward has freed.

A backward frees the tensors that the ops had saved for it, as it goes. Whatever was computed before
it and is used again after it (a tensor made once outside the loop, a scheduler's history of model
outputs that is kept from the run before) still has its graph, but no longer what is needed to go
through it. The finding names the second backward, as its cause the first, and the value that leads
from the one into the other.

Compute that value anew for each backward: move it into the loop, reset what the sampler keeps
(`scheduler.set_timesteps(...)` empties a scheduler's history). Detach it if no gradient should go
through it a second time. `retain_graph=True` on the first backward keeps the whole graph: right for
two losses over one run, while in a loop it grows with every turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.engine_run import Shared, run_of, shared
from gradprobe.graph.view import View
from gradprobe.records.backward import Pass
from gradprobe.records.source import Related

CODE = "GP203"
NAME = "graph-freed"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
start = (z0 * 0.5).tanh()
for step in range(2):
    loss = (0.7 * start + 0.1).pow(2).mean()
    if step == 0:
        loss.backward()  # <- opens
    else:
        loss.backward()  # <- GP203
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
for step in range(2):
    start = (z0 * 0.5).tanh()
    loss = (0.7 * start + 0.1).pow(2).mean()
    loss.backward()
"""

_FREED = "backward through the graph a second time"
_MOST_LINKS = 3


def check(view: View) -> Iterator[Draft]:
    """A pass that torch stopped because what it goes through was freed."""
    passed, at = view.passed, view.root_at
    if passed is None or at is None or _FREED not in (passed.raised or ""):
        return
    first, links = _freed_by(view, passed)
    if first is None:
        yield Draft(
            at=at,
            severity="error",
            certainty="suspected",
            message=f"the graph of {view.root_name} was freed by an earlier backward that was "
            "not seen",
            fix=_fix(view, None),
        )
        return
    link = links[0]
    yield Draft(
        at=at,
        opened_by=first.at,
        related=_related(view, links, first.at_op),
        severity="error",
        certainty="proven" if link.saves else "suspected",
        message=_message(view, link, first.at == at),
        fix=_fix(view, link),
    )


def _freed_by(view: View, passed: Pass) -> tuple[Pass | None, list[Shared]]:
    """The first pass that ran a part of this one's graph and did not keep it, and that part."""
    data = view.data
    later = run_of(data, passed)
    doubtful: tuple[Pass | None, list[Shared]] = None, []
    for earlier in view.trace.passes:
        if earlier is passed:
            break
        if earlier.retained:
            continue
        links = shared(data, run_of(data, earlier), later, passed.roots)
        if links and links[0].saves:
            return earlier, [link for link in links if link.saves]
        if links and doubtful[0] is None:
            doubtful = earlier, links
    return doubtful


def _message(view: View, link: Shared, same_line: bool) -> str:
    first = "an earlier call of this very line" if same_line else "an earlier backward"
    if link.user is None:
        return f"{first} already freed the graph of {view.root_name}"
    name = view.trace.names.get(link.value)
    op = view.data.producer[link.value]
    made = view.place_of(op)
    if name is not None:
        what = f"`{name}`"
    elif made is not None:
        callee = view.trace.ops.callee_of(op).name
        what = f"the result of {callee} at {os.path.basename(made.file)}:{made.line}"
    else:
        what = "a tensor"
    return f"{what} feeds {view.root_name} again, but {first} freed its graph"


def _related(view: View, links: list[Shared], freed_at: int) -> tuple[Related, ...]:
    """Where what links the two was made, and where it was used again; each place once."""
    found: dict[tuple[str, str], Related] = {}
    for link in links[:_MOST_LINKS]:
        places = [("made before both", view.data.producer[link.value])]
        if link.user is not None and link.user >= freed_at:
            places.append(("used again", link.user))
        for word, op in places:
            frame = view.place_of(op)
            if frame is not None:
                found.setdefault((word, frame.place), Related(word, frame))
    return tuple(found.values())


def _fix(view: View, link: Shared | None) -> str:
    if link is not None and link.user is None:
        return (
            f"call backward once on {view.root_name}, compute it anew before the second, or pass "
            "retain_graph=True to the first"
        )
    return (
        "compute it anew after each backward (reset what the loop or the sampler keeps), detach "
        "it if no gradient should go through it again, or pass retain_graph=True to the first "
        "backward"
    )
