"""Adapters switch themselves on: when code of a library that one of them knows runs first."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import FrameType

from gradprobe.capture.frame_paths import parsed
from gradprobe.capture.locals_tap import LocalsTap
from gradprobe.capture.stage_selectors import Adapter

AdapterFor = Callable[[str, str], Adapter | None]


class Adapting:
    """Asks for the adapter of each package and file that runs, once."""

    def __init__(self, adapter_for: AdapterFor, tap: LocalsTap, say: Callable[[str], None]) -> None:
        self.adapter_for = adapter_for
        self.tap = tap
        self.say = say
        self._thread = threading.get_ident()
        self._asked: set[tuple[str, str]] = set()
        self._on: list[Adapter] = []

    def met(self, frame: FrameType) -> None:
        """Code of user code is run by `frame` for the first time."""
        if threading.get_ident() != self._thread:
            return
        module = frame.f_globals.get("__name__")
        package = module.partition(".")[0] if isinstance(module, str) else ""
        key = (package, os.path.basename(frame.f_code.co_filename))
        if key in self._asked:
            return
        self._asked.add(key)
        try:
            adapter = self.adapter_for(*key)
            if adapter is not None and adapter not in self._on:
                self._on.append(adapter)
                for selector in adapter.selectors:
                    parsed(selector.sigma or "_")
                for clock in adapter.clocks:
                    parsed(clock.step or "_"), parsed(clock.sigma or "_")
                self.tap.join(adapter, frame)
        except Exception as fault:
            # A third party's module may raise anything: it costs its stages, never the program.
            self.say(f"the adapter for {package or key[1]} was not used: {fault!r}")
