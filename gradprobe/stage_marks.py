"""`tap`: mark a stage inside library code.

Kept free of torch and of the capture room, so that a library can import it and pay nothing: with
no probe active a tap is one global read and one comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, object, int | None, float | None], None]

_listener: Listener | None = None


def tap(name: str, x: T, step: int | None = None, sigma: float | None = None) -> T:
    """Mark `x` as the stage `name` of the sampler at `step`, and return `x` itself.

    `x` is a tensor of any shape; anything else passes through unseen. `sigma` is the noise level
    or timestep of the step. Under an active probe the stage becomes a hook record; otherwise the
    call does nothing.
    """
    if _listener is not None:
        _listener(name, x, step, sigma)
    return x


def listen(listener: Listener | None) -> Listener | None:
    """Make `listener` hear every tap from now on; returns the one that was there before."""
    global _listener
    before = _listener
    _listener = listener
    return before
