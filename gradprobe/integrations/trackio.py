"""trackio: norms logged to a run of its local dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TrackioLogger:
    """Logs to `run`, as `trackio.init` returned it. Steps are numbers of backward passes."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def log(self, norms: Mapping[str, float], index: int) -> None:
        self.run.log(dict(norms), step=index)
