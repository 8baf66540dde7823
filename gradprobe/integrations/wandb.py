"""Weights & Biases: norms over an axis of their own, the number of the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradprobe.integrations.logger import PREFIX

AXIS = "gradprobe/backward"


class WandbLogger:
    """Logs to `run`, as `wandb.init` returned it. `prefix` is that of `log_to`.

    No step is given, so that it fits beside a program that gives its own; one that gives none sees
    its step count rise by one more for each backward.
    """

    def __init__(self, run: Any, *, prefix: str = PREFIX) -> None:
        self.run = run
        run.define_metric(AXIS, hidden=True)
        run.define_metric(f"{prefix}/*", step_metric=AXIS)

    def log(self, norms: Mapping[str, float], index: int) -> None:
        self.run.log({**norms, AXIS: index})
