"""The two ways in which Python lets us see lines pass in chosen functions, and in no others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any, Protocol

from gradprobe.capture.activations import Activation, Choice, forget

Tracer = Callable[[FrameType, Any, Any], Any]

_monitoring: Any = getattr(sys, "monitoring", None)


class Lookout(Protocol):
    """Who asked to see lines."""

    running: bool

    def chosen(self, frame: FrameType) -> Sequence[Choice]: ...

    def look(self, activation: Activation, frame: FrameType) -> None: ...

    def say(self, sentence: str) -> None: ...


class Tracing:
    """By `sys.settrace`, in front of the tracer that was there."""

    def __init__(self, tap: Lookout) -> None:
        self.tap = tap
        self._previous: Tracer | None = None
        self._entry: Tracer = self._called  # one object, to be known again

    def start(self, frame: FrameType | None) -> None:
        self._previous = sys.gettrace()
        self._arm(frame)
        sys.settrace(self._entry)

    def stop(self, frame: FrameType | None) -> None:
        if sys.gettrace() is self._entry:
            sys.settrace(self._previous)
        else:
            self.tap.say("another tracing function took over: later stages of selectors are absent")
        while frame is not None:
            if isinstance(frame.f_trace, Lines):
                frame.f_trace = frame.f_trace.behind
            frame = frame.f_back

    def _arm(self, frame: FrameType | None) -> None:
        """Watch the chosen functions that run already."""
        while frame is not None:
            chosen = self.tap.chosen(frame)
            if chosen and not isinstance(frame.f_trace, Lines):
                lines = Lines(self, Activation(chosen, frame, running=True))
                lines.behind = frame.f_trace
                frame.f_trace = lines
            frame = frame.f_back

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        chosen = self.tap.chosen(frame)
        lines = frame.f_trace  # of a generator that goes on; the tracer behind us may overwrite it
        behind = None
        if self._previous is not None:
            behind = self.pass_on(self._previous, frame, event, arg)
        if not chosen:
            return behind
        if not isinstance(lines, Lines):
            # The argument of a RESUME is 0 where a call begins: a generator may have begun earlier.
            running = frame.f_code.co_code[frame.f_lasti + 1] != 0
            lines = Lines(self, Activation(chosen, frame, running=running))
        lines.behind = behind or self._debugger()
        self.tap.look(lines.activation, frame)
        return lines

    def pass_on(self, tracer: Tracer, frame: FrameType, event: str, arg: Any) -> Any:
        """Let the tracer behind us see an event.

        It may install itself again (coverage does so at each call) or take itself away (a debugger
        that continues): what it leaves installed is from now on behind us.
        """
        result = tracer(frame, event, arg)
        installed = sys.gettrace()
        if installed is not self._entry:
            self._previous = installed
            sys.settrace(self._entry)
            self._arm(frame.f_back)
        return result

    def _debugger(self) -> Tracer | None:
        """The debugger, which may want to stop in a function that it did not want at its call.

        It would then put itself in `f_trace`, but only where that is empty.
        """
        bdb = sys.modules.get("bdb")
        owner = getattr(self._previous, "__self__", None)
        return self._previous if bdb is not None and isinstance(owner, bdb.Bdb) else None


class Lines:
    """The local tracing function of one call of a chosen function."""

    __slots__ = ("_tracing", "activation", "behind")

    def __init__(self, tracing: Tracing, activation: Activation) -> None:
        self._tracing = tracing
        self.activation = activation
        self.behind: Tracer | None = None

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        tap = self._tracing.tap
        if not tap.running:  # a generator that outlived the probe
            return None if self.behind is None else self.behind(frame, event, arg)
        tap.look(self.activation, frame)
        if self.behind is not None:
            answer = self._tracing.pass_on(self.behind, frame, event, arg)
            self.behind = self.behind if answer is None else answer
        return self


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
        while frame is not None:
            chosen = self.tap.chosen(frame)
            if chosen:
                self._activations[id(frame)] = Activation(chosen, frame, running=True)
                self._watch(frame.f_code)
            frame = frame.f_back
        events = _monitoring.events
        _monitoring.set_events(self._tool, events.PY_START | events.PY_RESUME)
        _monitoring.restart_events()  # an earlier probe may have disabled places

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
            events.PY_YIELD: self._passed,
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
            self._watch(frame.f_code)
            if id(frame) not in self._activations:
                self._activations[id(frame)] = Activation(chosen, frame, running=running)
            self._look(frame)
        return None

    def _passed(self, code: CodeType, *where: Any) -> None:
        self._look(sys._getframe(1))

    def _returned(self, code: CodeType, *where: Any) -> None:
        frame = sys._getframe(1)
        self._look(frame)
        if threading.get_ident() == self._thread:
            self._activations.pop(id(frame), None)

    def _look(self, frame: FrameType) -> None:
        activation = self._activations.get(id(frame))
        if activation is not None and threading.get_ident() == self._thread:
            self.tap.look(activation, frame)
            forget(frame)
