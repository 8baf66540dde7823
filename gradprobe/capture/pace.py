"""Tells how far the run is, a few times a second, from where something is recorded anyway.

No timer and no thread: either would be seen by the program, and a thread is what a probe takes for
a sign of unseen code. So nothing is told while nothing is recorded, within one long op say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradprobe.records import progress
from gradprobe.records.progress import Progress

if TYPE_CHECKING:
    from gradprobe.capture.recorder import Recorder

_SOON = 0.05  # seconds between two times where something new begins


class Pace:
    """Asked at some of the ops and at the hooks of a backward, it answers when it is time."""

    def __init__(self, recorder: Recorder, told: Callable[[Progress], None]) -> None:
        self.recorder = recorder
        self.told: Callable[[Progress], None] | None = told
        self._began = time.perf_counter()
        self._last = self._began + progress.AFTER - progress.EVERY

    def tick(self) -> None:
        """Tell if it is time."""
        now = time.perf_counter()
        if now - self._last >= progress.EVERY:
            self._tell(now)

    def turn(self) -> None:
        """Something begins that may last: tell it soon rather than late."""
        now = time.perf_counter()
        if now - self._last >= _SOON and now - self._began >= progress.AFTER:
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._last = now
        if self.told is None:
            return
        recorder = self.recorder
        calls, module = recorder.modules.busiest()
        try:
            self.told(
                Progress(
                    now - self._began,
                    recorder.ops_seen,
                    calls,
                    module,
                    recorder.passes.begun,
                    recorder.mode.pauses > 0,
                    recorder.record_bytes,
                    recorder.norm,
                )
            )
        except Exception as fault:
            # A fault of who listens may cost the telling, never the program.
            self.told = None
            recorder.say(f"progress was not told to the end: {fault!r}")
