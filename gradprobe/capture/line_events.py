"""Lines that pass in chosen functions, seen by a tracing function; and who asked to see them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from gradprobe.capture.activations import Activation, Chosen, outermost_first

Tracer = Callable[[FrameType, Any, Any], Any]


class Lookout(Protocol):
    """Who asked to see lines."""

    running: bool
    met: int

    def chosen(self, frame: FrameType) -> Chosen: ...

    def activation(self, chosen: Chosen, frame: FrameType, *, running: bool) -> Activation: ...

    def look(self, activation: Activation, frame: FrameType) -> None: ...

    def left(self, frame: FrameType) -> None: ...

    def say(self, sentence: str) -> None: ...


class Tracing:
    """By `sys.settrace`, in front of the tracer that was there."""

    def __init__(self, tap: Lookout) -> None:
        self.tap = tap
        self._previous: Tracer | None = None
        self._entry: Tracer = self._called  # one object, to be known again
        self._suspended = False
        self._dull: set[int] = set()  # ids of code in which nothing is chosen

    def start(self, frame: FrameType | None) -> None:
        self._previous = sys.gettrace()
        self.widen(frame)
        sys.settrace(self._entry)

    def stop(self, frame: FrameType | None) -> None:
        if sys.gettrace() is self._entry:
            sys.settrace(self._previous)
        elif not self._suspended:
            self.tap.say("another tracing function took over: later stages of selectors are absent")
        while frame is not None:
            if isinstance(frame.f_trace, Lines):
                frame.f_trace = frame.f_trace.behind
            frame = frame.f_back

    def suspend(self) -> bool:
        """Let only the tracer that was there see what comes next."""
        if self._suspended or sys.gettrace() is not self._entry:
            return False
        self._suspended = True
        sys.settrace(self._previous)
        return True

    def resume(self) -> None:
        """Be in front again, unless the program has installed another tracer meanwhile."""
        if self._suspended:
            self._suspended = False
            installed = sys.gettrace()
            # A debugger that has gone on takes itself away.
            if installed is None or installed == self._previous:
                self._previous = installed
                sys.settrace(self._entry)

    def widen(self, frame: FrameType | None) -> None:
        """Watch the chosen functions that run already."""
        self._dull.clear()
        for one in outermost_first(frame):
            chosen = self.tap.chosen(one)
            lines = one.f_trace
            if chosen and not isinstance(lines, Lines):
                fresh = Lines(self, self.tap.activation(chosen, one, running=True))
                fresh.behind = lines
                one.f_trace = fresh
                self.tap.look(fresh.activation, one)
            elif chosen and isinstance(lines, Lines) and lines.activation.chosen is not chosen:
                lines.activation.widen(chosen, one, running=True)
                self.tap.look(lines.activation, one)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self._previous is None and id(frame.f_code) in self._dull:
            return None  # most calls, by far
        chosen = self.tap.chosen(frame)
        if not chosen:
            self._dull.add(id(frame.f_code))
            if self._previous is None:
                return None
        lines = frame.f_trace  # of a generator that goes on; the tracer behind us may overwrite it
        behind = None
        if self._previous is not None:
            behind = self.pass_on(self._previous, frame, event, arg)
        if not chosen:
            return behind
        self.tap.met += 1
        if not isinstance(lines, Lines):
            # The argument of a RESUME is 0 where a call begins: a generator may have begun earlier.
            running = frame.f_code.co_code[frame.f_lasti + 1] != 0
            lines = Lines(self, self.tap.activation(chosen, frame, running=running))
        elif lines.activation.chosen is not chosen:
            lines.activation.widen(chosen, frame, running=True)
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
        if installed is not self._entry and not self._suspended:
            self._previous = installed
            sys.settrace(self._entry)
            self.widen(frame.f_back)
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
        if event == "return":
            tap.left(frame)
        if self.behind is not None:
            answer = self._tracing.pass_on(self.behind, frame, event, arg)
            self.behind = self.behind if answer is None else answer
        return self
