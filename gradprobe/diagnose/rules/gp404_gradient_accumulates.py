"""Gradient of the turn before is still there when backward adds that of the next.

`backward()` adds to `.grad`. Without `zero_grad()` (or `z0.grad = None`) between, the second step
uses the sum of two turns, the third that of three: gradients of places where z0 no longer is. The
loss often still falls, and then swings.

Several backward passes before one step are meant so (accumulation) and are not found. This is only
a note: some hand-made momentum is written this way. Call `zero_grad()` after each step, or before
each backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.updates import Life, Moment, by_gradient
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP404"
NAME = "gradient-accumulates"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
optimizer = torch.optim.SGD([z0], lr=0.1)
for _ in range(3):
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()  # <- GP404
    optimizer.step()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
optimizer = torch.optim.SGD([z0], lr=0.1)
for _ in range(3):
    for weight in (0.5, 0.5):
        loss = (0.7 * z0 + 0.1).pow(2).mean() * weight
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""


def check(view: View) -> Iterator[Draft]:
    """Two backward passes into one tensor that was updated, and not cleared, between them."""
    found = [pair for life in view.lives for pair in _pairs(view, life)]
    if not found:
        return
    first, update, second = found[0]
    if second.at is None:
        return
    name = view.leaf.name
    times = "" if len(found) == 1 else f", {len(found)} times"
    same = first.at is not None and second.at.place == first.at.place
    related = [] if same or first.at is None else [Related("first backward", first.at)]
    if update.at is not None:
        related.append(Related("update", update.at))
    yield Draft(
        at=second.at,
        severity="note",
        related=tuple(related),
        message=f"backward adds to a gradient of {name} that an update has already used{times}",
        fix=f"clear the gradient after each update: zero_grad(), or {name}.grad = None",
    )


def _pairs(view: View, life: Life) -> Iterator[tuple[Moment, Moment, Moment]]:
    """First backward, update and second backward."""
    updates = _updates(view, life)
    for first, second in pairwise(life.of("backward")):
        between = list(life.between(first, second))
        if any(moment.what in ("cleared", "assigned") for moment in between):
            continue
        update = next((m for m in updates if first.key < m.key < second.key), None)
        if update is not None:
            yield first, update, second


def _updates(view: View, life: Life) -> list[Moment]:
    """The steps that used the gradient, the writes of a step with a closure, those by hand."""
    found = []
    at = view.trace.values.at
    passes = life.of("backward")
    for moment in life.moments:
        if moment.what == "step" and moment.use is not None:
            if any(moment.around(passed) for passed in passes):
                made = [at[v] for v in life.mark.values[1:] if moment.has(at[v])]
                found += [Moment("written", (op, 1 << 60), (op, 1 << 60), moment.at) for op in made]
            elif set(moment.use.bare).isdisjoint(life.mark.values):
                found.append(moment)
        elif moment.what == "written" and by_gradient(view.data, life, moment):
            found.append(moment)
    return found
