"""Whether a changed program has lost its gradient, by plain torch alone."""

from __future__ import annotations

from typing import Literal

import torch

from benchmarks.breaks.operators import Shows
from benchmarks.breaks.run import Ended

# `same` has lost nothing and does not count; `invalid` fails for a reason that is not autograd's.
Truth = Literal["raised", "none", "zero", "nonfinite", "wrong", "idle", "same", "invalid"]
COUNTS = frozenset({"raised", "none", "zero", "nonfinite", "wrong", "idle"})
TOLERANCE = 1e-3  # of the healed gradient's norm

_AUTOGRAD = (
    "does not require grad",
    "modified by an inplace operation",
    "Inference tensors cannot be saved",
    "a leaf Variable that requires grad",
    "Inplace update to inference tensor",
)


def truth_of(broken: Ended, healed: Ended, shows: Shows) -> Truth:
    """What became of z0's gradient, held against that of the twin with the same numbers."""
    if healed.raised is not None or _is_bad(healed, shows):
        return "invalid"
    if broken.raised is not None:
        of_autograd = any(words in str(broken.raised) for words in _AUTOGRAD)
        return "raised" if of_autograd and shows != "zero" else "invalid"
    if shows == "descent":
        return "idle" if len(set(broken.losses)) == 1 else "same"
    return _state(broken, healed, shows)


def _is_bad(healed: Ended, shows: Shows) -> bool:
    if shows == "descent":
        return len(set(healed.losses)) < 2
    return healed.grad is None or not healed.grad.isfinite().all() or not healed.grad.any()


def _state(broken: Ended, healed: Ended, shows: Shows) -> Truth:
    if broken.grad is None:
        return "none" if shows == "gradient" else "invalid"
    if not broken.grad.isfinite().all():
        return "nonfinite" if shows == "gradient" else "invalid"
    if not broken.grad.any():
        return "zero"
    if shows == "zero":
        return "same"
    assert healed.grad is not None
    apart = torch.linalg.vector_norm(broken.grad.double() - healed.grad.double())
    return "wrong" if apart > TOLERANCE * torch.linalg.vector_norm(healed.grad) else "same"
