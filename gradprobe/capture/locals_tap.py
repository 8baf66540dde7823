"""Watches local variables of chosen functions: every assignment is told, nothing is kept alive.

An assignment is seen when its line has passed, by the identity of the object that the variable
holds. On Python 3.11 that is a tracing function that lets all other functions run untraced; later
it is `sys.monitoring`. Other tracers go on as they were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType

from gradprobe.capture.activations import Activation, Choice, Stores, Told
from gradprobe.capture.line_events import Monitoring, Tracing
from gradprobe.capture.stage_selectors import Search, Selector


class LocalsTap:
    """Watches one thread from `start` to `stop`."""

    def __init__(
        self, selectors: Sequence[Selector], told: Told, say: Callable[[str], None]
    ) -> None:
        self.search = Search(selectors)
        self.told = told
        self.say = say
        self.running = False
        # By id of a code object. The code objects are kept, so that an id stays theirs.
        self._chosen: dict[int, tuple[Choice, ...]] = {}
        self._codes: list[CodeType] = []
        self._way = Monitoring(self) if hasattr(sys, "monitoring") else Tracing(self)

    def start(self) -> None:
        self.running = True
        self._way.start(sys._getframe(1))

    def stop(self) -> None:
        """Take everything away, and say which selectors gave no stage."""
        if self.running:
            self.running = False
            self._way.stop(sys._getframe(1))
            for sentence in self.search.unmatched():
                self.say(sentence)

    def chosen(self, frame: FrameType) -> tuple[Choice, ...]:
        """The choices in the function of `frame`; decided once for each code object."""
        code = frame.f_code
        found = self._chosen.get(id(code))
        if found is None:
            self._codes.append(code)
            found = self._chosen[id(code)] = tuple(
                Choice(selector, Stores(code, selector.variable))
                for selector in self.search.chosen(frame)
            )
        return found

    def look(self, activation: Activation, frame: FrameType) -> None:
        try:
            activation.look(frame, self.told, self.search.matched)
        except Exception as fault:
            # A fault of ours may cost a stage, never the program.
            self.say(f"a stage in {frame.f_code.co_qualname} was not recorded: {fault!r}")
