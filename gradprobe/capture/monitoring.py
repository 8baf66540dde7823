"""Lines that pass in chosen functions, seen by `sys.monitoring` (Python 3.12 and later)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from gradprobe.capture.activations import Activation, forget, outermost_first
from gradprobe.capture.line_events import Lookout

_monitoring: Any = getattr(sys, "monitoring", None)


class Monitoring:
    """By `sys.monitoring`, which other tools do not notice."""

    TOOLS = (3, 4, 2, 5)  # those first that no kind of tool has to itself

    def __init__(self, tap: Lookout) -> None:
        self.tap = tap
        self._tool = -1
        self._thread = 0
        self._watched: dict[int, CodeType] = {}
        self._activations: dict[int, Activation] = {}

    def start(self, frame: FrameType | None) -> None:
        free = [tool for tool in self.TOOLS if _monitoring.get_tool(tool) is None]
        if not free:
            self.tap.say("stage selectors were not watched: every sys.monitoring tool id is taken")
            return
        self._tool = free[0]
        self._thread = threading.get_ident()
        _monitoring.use_tool_id(self._tool, "gradprobe")
        for event, callback in self._callbacks().items():
            _monitoring.register_callback(self._tool, event, callback)
        events = _monitoring.events
        _monitoring.set_events(self._tool, events.PY_START | events.PY_RESUME)
        self.widen(frame)

    def widen(self, frame: FrameType | None) -> None:
        """Watch the chosen functions that run already."""
        if self._tool < 0:
            return
        for one in outermost_first(frame):
            chosen = self.tap.chosen(one)
            if chosen:
                activation = self._activations.get(id(one))
                if activation is None:
                    activation = self.tap.activation(chosen, one, running=True)
                    self._activations[id(one)] = activation
                elif activation.chosen is not chosen:
                    activation.widen(chosen, one, running=True)
                self._watch(one.f_code)
                self._look(one)
        _monitoring.restart_events()  # what nobody looked for before may be disabled

    def suspend(self) -> bool:
        """Functions that are not chosen cost nothing: there is nothing to suspend."""
        return False

    def resume(self) -> None:
        """Nothing was suspended."""

    def stop(self, frame: FrameType | None) -> None:
        if self._tool < 0:
            return
        _monitoring.set_events(self._tool, 0)
        for code in self._watched.values():
            _monitoring.set_local_events(self._tool, code, 0)
        for event in self._callbacks():
            _monitoring.register_callback(self._tool, event, None)
        _monitoring.free_tool_id(self._tool)
        self._activations.clear()

    def _callbacks(self) -> dict[int, Callable[..., Any]]:
        events = _monitoring.events
        return {
            events.PY_START: self._started,
            events.PY_RESUME: self._resumed,
            events.LINE: self._passed,
            events.PY_YIELD: self._yielded,
            events.PY_RETURN: self._returned,
        }

    def _watch(self, code: CodeType) -> None:
        if id(code) not in self._watched:
            self._watched[id(code)] = code
            events = _monitoring.events
            _monitoring.set_local_events(
                self._tool, code, events.LINE | events.PY_YIELD | events.PY_RETURN
            )

    def _started(self, code: CodeType, offset: int) -> Any:
        frame = sys._getframe(1)
        # Also where a call that raised left its frame's address behind.
        self._activations.pop(id(frame), None)
        return self._seen(frame, running=False)

    def _resumed(self, code: CodeType, offset: int) -> Any:
        return self._seen(sys._getframe(1), running=True)  # a generator, perhaps older than we are

    def _seen(self, frame: FrameType, *, running: bool) -> Any:
        chosen = self.tap.chosen(frame)
        if not chosen:
            return _monitoring.DISABLE
        if threading.get_ident() == self._thread:
            self.tap.met += 1
            self._watch(frame.f_code)
            activation = self._activations.get(id(frame))
            if activation is None:
                activation = self.tap.activation(chosen, frame, running=running)
                self._activations[id(frame)] = activation
            elif activation.chosen is not chosen:
                activation.widen(chosen, frame, running=True)
            self._look(frame)
        return None

    def _passed(self, code: CodeType, *where: Any) -> None:
        self._look(sys._getframe(1))

    def _yielded(self, code: CodeType, *where: Any) -> None:
        frame = sys._getframe(1)
        self._look(frame)
        if threading.get_ident() == self._thread:
            self.tap.left(frame)

    def _returned(self, code: CodeType, *where: Any) -> None:
        frame = sys._getframe(1)
        self._look(frame)
        if threading.get_ident() == self._thread:
            self._activations.pop(id(frame), None)
            self.tap.left(frame)

    def _look(self, frame: FrameType) -> None:
        activation = self._activations.get(id(frame))
        if activation is not None and threading.get_ident() == self._thread:
            self.tap.look(activation, frame)
            forget(frame)
