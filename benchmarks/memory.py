"""What a trace keeps in memory, asked of the report and measured beside it."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from gradprobe import Probe


@dataclass(frozen=True, slots=True)
class RecordMemory:
    """Bytes a trace keeps for each op: as the report states them, and as the allocator saw them."""

    ops: int
    stated: float
    measured: float


def kept_bytes(work: Callable[[], object], under: AbstractContextManager[object]) -> int:
    """Bytes of Python memory still held after `work` has run in the context, which lives on.

    The result of `work` is alive when the bytes are counted, so that it counts the same whatever
    the context.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with under:
            result = work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return after - before


def record_memory(work: Callable[[], object]) -> RecordMemory:
    """The memory of one trace of `work`, less what `work` holds without a trace."""
    with Probe():
        work()  # what a first trace loads and caches is no record
    without = kept_bytes(work, nullcontext())
    probe = Probe()
    with_probe = kept_bytes(work, probe)
    report = probe.report()
    ops = report.counts.ops
    return RecordMemory(
        ops=ops,
        stated=report.cost.record_bytes / ops,
        measured=(with_probe - without) / ops,
    )
