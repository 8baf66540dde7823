"""The optimizer does not hold the leaf that gradient reaches.

An optimizer holds tensors, not names. After `optimizer = Adam([z0])` it goes on with that very
tensor, whatever the program calls z0 later: `z0 = z0.to(device).requires_grad_()`, a new draw, or
`Parameter(z0.clone())` make another one. Gradient reaches the new z0; `step()` looks at the old
one, finds no gradient there and does nothing. Nothing fails, and the loss stays where it is. The
same happens with `Adam(model.parameters())` over a frozen model while z0 is what should change.

Make the optimizer last, over the tensor that the sampler takes: `Adam([z0])`.

It is only a note, and `suspected`, where the optimizer trains a model, and the same z0 gets a
gradient at every turn that nobody takes: z0 may be meant to stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.holders import Missing, is_copy, missing
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP401"
NAME = "not-in-optimizer"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.1)  # <- GP401
z0 = z0.detach().double().requires_grad_()
for _ in range(3):
    optimizer.zero_grad()
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()
    optimizer.step()
"""

CLEAN = """
import torch

z0 = torch.randn(4).double().requires_grad_()
optimizer = torch.optim.Adam([z0], lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()
    optimizer.step()
"""


def check(view: View) -> Iterator[Draft]:
    """A leaf with gradient that no optimiser holds, while one steps over something else."""
    found = missing(view.data, view.leaf, view.lives)
    if found is None:
        return
    at = found.optimizer.at or found.step
    if at is None:
        return
    name, which = view.leaf.name, found.optimizer.name
    sure = found.stale is not None or found.idle
    yield Draft(
        at=at,
        severity="error" if sure else "note",
        certainty="proven" if sure else "suspected",
        related=tuple(_related(view, found)),
        message=f"{which} does not hold the {name} that gradient of {view.root_name} reaches: "
        + _instead(view, found),
        fix=f"make the optimizer from {name} itself, after all that makes {name} anew"
        if found.stale is not None
        else f"give {name} to the optimizer: {which}([{name}], ...)",
    )


def _instead(view: View, found: Missing) -> str:
    if found.stale is not None and is_copy(view.data, view.leaf, found.stale):
        return f"it holds a copy of {view.leaf.name}, which gets no gradient"
    if found.stale is not None:
        return f"it holds an earlier {view.leaf.name}, which gets no gradient"
    count = found.optimizer.count
    those = "the one tensor that it holds" if count == 1 else f"the {count} tensors that it holds"
    if found.idle:
        return f"{those} never had a gradient, so its steps do nothing"
    return f"it steps over {those}, and nothing uses {view.leaf.name}.grad"


def _related(view: View, found: Missing) -> Iterator[Related]:
    trace = view.trace
    if found.stale is not None:
        marks = (mark.at for mark in trace.leaves if found.stale in mark.values)
        held = next(marks, None) or view.place_of(view.data.producer[found.stale])
        if held is not None:
            yield Related("it holds", held)
    if view.leaf.at is not None:
        yield Related("gradient reaches", view.leaf.at)
    if found.step is not None:
        yield Related("step", found.step)
