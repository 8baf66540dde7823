"""The norms of one backward pass, told while the program goes on: what a tracker charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageKey:
    """A leaf, or a stage with its step; `call` counts the denoiser's calls within the step."""

    name: str
    step: int | None = None
    call: int | None = None

    @property
    def path(self) -> str:
        """`z0`, `denoised_output/3`, or `denoised_output/3.1` for a step's second call."""
        if self.step is None:
            return self.name
        return f"{self.name}/{self.step}" + (f".{self.call}" if self.call else "")


@dataclass(frozen=True, slots=True)
class PassNorms:
    """The 2-norms of the gradients that one pass brought, leaves first, then stages in time.

    `index` counts the passes of the run, from 0. A stage that gradient did not reach has none.
    A norm is infinite or NaN where the gradient is.
    """

    index: int
    norms: Mapping[StageKey, float]
