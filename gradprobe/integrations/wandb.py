"""Weights & Biases: norms over an axis of their own, so that a run's own steps stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradprobe.integrations.logger import PREFIX

AXIS = "gradprobe/backward"


class WandbLogger:
    """Logs to `run`, as `wandb.init` returned it. `prefix` is that of `log_to`."""

    def __init__(self, run: Any, *, prefix: str = PREFIX) -> None:
        self.run = run
        run.define_metric(AXIS, hidden=True)
        run.define_metric(f"{prefix}/*", step_metric=AXIS)

    def log(self, norms: Mapping[str, float], index: int) -> None:
        # Into the step that the program logs next: `step` has to grow, and counts what it likes.
        self.run.log({**norms, AXIS: index}, commit=False)
