"""One step of the sampler changed the size of the gradient by more than a thousand.

Backward goes through the steps from the last to the first. Where one of them multiplies the norm by
more than 1000, or divides it by that, the numbers are still right, and the optimisation of z0 will
hardly be: the update is dominated by that step. It is a note; the verdict does not change.

Usual causes are a division by a very small sigma, guidance with a very large scale, a step size
that an adaptive solver made tiny, and a loss in another unit than z0.

Look at the gradient norms of the stages in the report: they name the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from gradprobe.diagnose.rule import Draft
from gradprobe.diagnose.stages import stages_of
from gradprobe.graph.landmarks import FINAL, INPUT, START
from gradprobe.graph.view import View
from gradprobe.records.report import Stage

CODE = "GP306"
NAME = "vanishing-or-exploding"

BREAKS = """
import torch

model = torch.nn.Linear(4, 4)
z0 = torch.randn(1, 4, requires_grad=True)
x = z0 * 80.0
for sigma in (80.0, 20.0, 1e-6, 1.0):
    x = x + model(x) / sigma  # <- GP306
loss = x.pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

model = torch.nn.Linear(4, 4)
z0 = torch.randn(1, 4, requires_grad=True)
x = z0 * 80.0
for sigma in (80.0, 20.0, 5.0, 1.0):
    x = x + model(x) / sigma
loss = x.pow(2).mean()
loss.backward()
"""

FACTOR = 1000.0
OUTPUT = "step_output"  # what adapters call the state that a step ends with


def check(view: View) -> Iterator[Draft]:
    """The steps over which the norm of the state's gradient changed by more than `FACTOR`."""
    if view.passed is None or view.total:
        return
    for before, after in pairwise(_states(view)):
        ratio = _norm(before) / _norm(after)  # backward goes from `after` to `before`
        if 1 / FACTOR <= ratio <= FACTOR or after.at is None:
            continue
        how = "multiplied" if ratio > 1 else "divided"
        by = max(ratio, 1 / ratio)
        number = after.step if after.name == OUTPUT else before.step
        step = f"step {number}" if number is not None else "the first step"
        yield Draft(
            at=after.at,
            severity="note",
            message=f"{step} {how} the norm of the gradient by {by:.2g}: {_norm(after):.3g} after "
            f"it, {_norm(before):.3g} before it",
            fix="look at what this step divides or multiplies by",
        )


def _states(view: View) -> list[Stage]:
    """The sampler's state from step to step, as far as its gradient is known and no zero."""
    found: list[Stage] = []
    for stage in stages_of(view.trace, [view]):
        if stage.name not in (START, INPUT, OUTPUT, FINAL) or stage.grad is None:
            continue
        if not (0 < _norm(stage) < math.inf):
            continue
        if any((s.name, s.step) == (stage.name, stage.step) for s in found):
            continue  # a midpoint
        found.append(stage)
    return found


def _norm(stage: Stage) -> float:
    return stage.grad.norm if stage.grad is not None else 0.0
