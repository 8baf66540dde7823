"""Every step of the optimizer finds no gradient, because of the order of the calls.

`backward()` puts the gradient there, `step()` uses it, `zero_grad()` throws it away. With `step()`
before the first `backward()` and `zero_grad()` after it, or with `zero_grad()` between `backward()`
and `step()`, each step finds nothing (None, or zeros after `zero_grad(set_to_none=False)`). A
tensor without gradient is skipped without a word: z0 stays what it was.

The order is `zero_grad`, `backward`, `step`. The finding names the `zero_grad` that came too early,
or the `step` that did. A single step without gradient, before the only backward, is a warning, and
`suspected`: it may have been taken on purpose, to set up the optimizer's state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.updates import Life, Moment, by_gradient
from gradprobe.graph.view import View
from gradprobe.records.source import Related

CODE = "GP402"
NAME = "wrong-order"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.1)
for _ in range(3):
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()
    optimizer.zero_grad()  # <- GP402
    optimizer.step()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.1)
for _ in range(3):
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@dataclass(frozen=True, slots=True)
class Idle:
    """A step without gradient, and what had thrown it away since the last backward, if any."""

    life: Life
    step: Moment
    cleared: Moment | None


def check(view: View) -> Iterator[Draft]:
    """A leaf that backward gives gradient to, and that no step ever found one on."""
    passes = [m for life in view.lives for m in life.of("backward")]
    idle = _idle(view)
    if not passes or not idle:
        return
    first = idle[0]
    if first.cleared is None and not any(m.key > first.step.key for m in passes):
        return
    step, clear = first.step, first.cleared
    at = step.at if clear is None else clear.at
    if at is None or step.use is None:
        return
    name = view.leaf.name
    stepper = f"{view.trace.optimizers[step.use.optimizer].name}.step()"
    times = "" if len(idle) == 1 else f", {len(idle)} times"
    around = [] if clear is None else [Related("step", step.at)] if step.at else []
    sure = clear is not None or len(idle) > 1
    if not sure and any(life.of("read", "assigned", "grad") for life in view.lives):
        return
    if clear is None:
        message = f"{stepper} comes before backward: {name} has no gradient then{times}"
    else:
        by_hand = clear.use is None or clear.use.optimizer < 0
        what = f"{name}.grad is cleared" if by_hand else "zero_grad() is called"
        message = f"{what} between backward and {stepper}: the step finds no gradient{times}"
    last = next((m for m in reversed(passes) if clear is None or m.key < clear.key), passes[0])
    yield Draft(
        at=at,
        severity="error" if sure else "warning",
        certainty="proven" if sure else "suspected",
        related=(*around, *([Related("backward", last.at)] if last.at is not None else [])),
        message=message,
        fix="call zero_grad, then backward, then step",
    )


def _idle(view: View) -> list[Idle]:
    """The steps, if all of them came without a gradient of the leaf; else none."""
    found: list[Idle] = []
    for life in view.lives:
        if not life.of("step"):
            continue
        full, had = False, False
        cleared: Moment | None = None
        for moment in life.moments:
            if moment.what in ("backward", "assigned"):
                full = had = True
                cleared = None
            elif moment.what == "cleared":
                cleared = moment if had else cleared
                full = False
            elif moment.what == "written" and by_gradient(view.data, life, moment):
                return []
            elif moment.what == "step":
                if moment.closure or not _finds_none(view, life, moment, full, cleared):
                    return []
                found.append(Idle(life, moment, cleared))
    return sorted(found, key=lambda one: one.step.key)


def _finds_none(view: View, life: Life, step: Moment, full: bool, cleared: Moment | None) -> bool:
    """Whether nothing is there for the step to use, and nobody meant this leaf alone to stay."""
    use = step.use
    if use is None:
        return False
    bare = not life.values.isdisjoint(use.bare)
    if not bare and (full or cleared is None):
        return False
    if cleared is not None and cleared.use is not None and cleared.use.optimizer >= 0:
        return True
    return not use.any or (not bare and view.trace.optimizers[use.optimizer].count == 1)
