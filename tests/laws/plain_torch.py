"""What plain torch shows of a case: the word that its truth must say under `expect`.

A gradient that exists may still be wrong, so it is compared with central differences of the
program's own `loss_of`: they agree for `flows` and disagree for `partial`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from fingerprint import Witness, named
from torch import Tensor

STEP = 2e-3  # along a direction of length 1
TOLERANCE = 0.03  # of the larger of the two slopes
DIRECTIONS = 4


def shown(program: Any, target: str, *, numeric: bool) -> dict[str, Any]:
    """Run the program and judge the gradient of its variable `target`."""
    witness = Witness(str(Path(program.path).parent))
    sys.setprofile(witness)
    program.run_to_its_end(contextlib.nullcontext())
    sys.setprofile(None)
    names = program.main.__dict__
    if "verdict" in names:  # the program judges itself, with a reference of its own
        return {"shown": "itself", "slopes": []}
    tensors = witness.seen + list(named(names, "__main__", 1))
    leaf = next(t for name, t in reversed(tensors) if name.endswith(f".{target}"))
    slopes: list[list[float]] = []
    given = names.get("gradient")  # of torch.autograd.grad, which fills no `.grad`
    state = state_of(leaf.grad if leaf.is_leaf and given is None else given, program.ended)
    if state == "flows" and numeric:
        loss_of = names.get("loss_of") or (
            lambda z: names["loss_fn"](names["sampler"](z, names["Denoiser"]()))
        )
        slopes = [compare(loss_of, leaf, i) for i in range(DIRECTIONS)]
        if any(abs(a - b) > TOLERANCE * max(abs(a), abs(b), slopes[0][1]) for a, b in slopes):
            state = "partial"
    return {"shown": state, "slopes": slopes, "ended": json.dumps(str(program.ended))}


def state_of(grad: Tensor | None, ended: BaseException | None) -> str:
    if ended is not None:
        return "none" if "does not require grad" in str(ended) else "error"
    if grad is None:
        return "none"
    if not grad.isfinite().all():
        return "nan"
    return "zero" if not grad.any() else "flows"


def compare(loss_of: Any, leaf: Tensor, which: int) -> list[float]:
    """The slope of the loss along one direction: measured, and as the gradient has it.

    The first direction is the gradient's own; the others are drawn at random.
    """
    assert leaf.grad is not None
    point, gradient = leaf.detach(), leaf.grad.detach()
    direction = gradient
    if which:
        generator = torch.Generator().manual_seed(which)
        direction = torch.randn(point.shape, generator=generator) + gradient / gradient.norm()
    direction = direction / direction.norm()
    values = []
    for sign in (1, -1):
        torch.manual_seed(7)
        moved = (point + sign * STEP * direction).requires_grad_()
        values.append(float(loss_of(moved)))
    measured = (values[0] - values[1]) / (2 * STEP)
    return [measured, float((gradient * direction).sum())]
