"""The seam to trackers: what charts numbers is a `Logger`, and gets the norms of each backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from gradprobe.errors import UsageError
from gradprobe.records.norms import PassNorms

PREFIX = "grad_norm"


@runtime_checkable
class Logger(Protocol):
    """A tracker. `gradprobe.integrations` has four; any object with this method is one."""

    def log(self, norms: Mapping[str, float], index: int) -> None:
        """Chart `norms`, by names like `grad_norm/denoised_output/3`, at backward `index`."""


def log_to(*loggers: Logger, every: int = 1, prefix: str = PREFIX) -> Callable[[PassNorms], None]:
    """What `Probe(on_backward=...)` takes: sends the norms of each pass to all of `loggers`.

    Of `every` passes one is sent. Raises `UsageError` for what is no logger, and for an `every`
    below 1.
    """
    for logger in loggers:
        if not isinstance(logger, Logger):
            raise UsageError(f"{type(logger).__name__} is no logger: it has no method `log`")
    if every < 1:
        raise UsageError(f"every is {every}; of how many passes one is sent is 1 or more")

    def send(seen: PassNorms) -> None:
        if seen.index % every or not seen.norms:
            return
        norms = {f"{prefix}/{key.path}": norm for key, norm in seen.norms.items()}
        for logger in loggers:
            logger.log(norms, seen.index)

    return send
