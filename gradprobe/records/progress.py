"""How far a run under the probe is: a few numbers, for whoever waits for its end."""

from __future__ import annotations

from dataclasses import dataclass

AFTER = 2.0  # seconds of a run before anything is told of it
EVERY = 0.2  # seconds from one time to the next, at the least


@dataclass(frozen=True, slots=True)
class Progress:
    """What was seen since the probe began.

    `calls` counts those of the module that was called most among the outermost ones, a denoiser's
    class as a rule, and `module` is its class; both are as nothing where no module was called
    twice. `in_backward` says that the last of `passes` still runs. `norm` is that of the gradient
    which reached a leaf last.
    """

    seconds: float
    ops: int
    calls: int
    module: str
    passes: int
    in_backward: bool
    record_bytes: int
    norm: float | None = None
