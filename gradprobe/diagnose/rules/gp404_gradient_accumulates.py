"""Gradient of the turn before is still there when backward adds that of the next.

`backward()` adds to `.grad`. Without `zero_grad()` (or `z0.grad = None`) between, the second step
uses the sum of two turns, the third that of three: gradients of places where z0 no longer is. The
loss often still falls, and then swings.

Several backward passes before one step are meant so (accumulation) and are not found. This is only
a note: some hand-made momentum is written this way. Call `zero_grad()` after each step, or before
each backward.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

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
    same = first.at is not None and second.at.place == first.at.place
    related = [] if same or first.at is None else [Related("first backward", first.at)]
    if update.at is not None:
        related.append(Related("update", update.at))
    yield Draft(
        at=second.at,
        severity="note",
        related=tuple(related),
        message=f"backward adds to a gradient of {name} that an update has already used",
        count=len(found),
        fix=f"clear the gradient after each update: zero_grad(), or {name}.grad = None",
    )


def _pairs(view: View, life: Life) -> Iterator[tuple[Moment, Moment, Moment]]:
    """First backward, update and second backward."""
    first: Moment | None = None
    update: Moment | None = None
    for moment in sorted([*life.moments, *_inside(view, life)], key=lambda one: one.key):
        if moment.what in ("cleared", "assigned"):
            first = None
        elif moment.what == "backward":
            if first is not None and update is not None:
                yield first, update, moment
            first, update = moment, None
        elif first is not None and _updates(view, life, moment):
            update = update or moment


def _updates(view: View, life: Life, moment: Moment) -> bool:
    """Whether it used the gradient: a step, a write of a step with a closure, one by hand."""
    if moment.what == "step" and moment.use is not None:
        return not moment.closure and life.values.isdisjoint(moment.use.bare)
    return moment.what == "written" and (moment.closure or by_gradient(view.data, life, moment))


def _inside(view: View, life: Life) -> Iterator[Moment]:
    """The writes of steps that called a closure, one by one."""
    steps = [step for step in life.of("step") if step.closure]
    at = view.trace.values.at
    begins = [step.key[0] for step in steps]
    for value in life.mark.values[1:] if steps else ():
        op = at[value]
        step = steps[max(bisect_right(begins, op) - 1, 0)]
        if step.has(op):
            yield Moment("written", (op, 1), (op, 1), step.at, op=op, closure=True)
