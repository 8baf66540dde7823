"""Accelerate: a block of a loop under a probe, in each of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gradprobe.integrations.trained import TrainedRun
from gradprobe.probe import Probe


class AccelerateLogger:
    """Logs to the trackers that an `Accelerator` was given (`log_with=`), on its main process."""

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator

    def log(self, norms: Mapping[str, float], index: int) -> None:
        self.accelerator.log(dict(norms), step=index)


@contextmanager
def probed(accelerator: Any, **settings: Any) -> Iterator[Probe]:
    """Watch a block that calls `accelerator.backward`; the report is the probe's afterwards.

        with probed(accelerator, leaf="z0", report="run.html") as probe:
            for _ in range(steps):
                accelerator.backward(loss_of(z0))

    Takes what `TrainedRun` takes, and is entered after `accelerator.prepare`, which may replace the
    tensors that an optimiser steps. Each process watches its own backward, and none waits here for
    another, so that a collective of the program's is met by all of them alike; the diagnosis is
    said by the main process. An exception of the block goes on as it is.
    """
    run = TrainedRun(**settings)
    ranks = {"rank": accelerator.process_index, "ranks": accelerator.num_processes}
    probe = run.begin()
    try:
        yield probe
    except BaseException:
        run.end(**ranks, judge=False)
        raise
    run.end(**ranks)
