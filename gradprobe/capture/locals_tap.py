"""Watches local variables of chosen functions: every assignment is told, nothing is kept alive.

An assignment is seen when its line has passed, by the identity of the object that the variable
holds. On Python 3.11 that is a tracing function that lets all other functions run untraced; later
it is `sys.monitoring`. Other tracers go on as they were. With nothing to watch there is neither.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import CodeType, FrameType

from gradprobe.capture.activations import Activation, Choice, Chosen, Stores, Ticked, Told
from gradprobe.capture.line_events import Tracing
from gradprobe.capture.monitoring import Monitoring
from gradprobe.capture.selector_search import Search
from gradprobe.capture.stage_selectors import Adapter, Clock, Selector


def _nothing(clock: Clock, frame: FrameType) -> None:
    """Nobody asked for steps."""


class LocalsTap:
    """Watches one thread from `start` to `stop`."""

    def __init__(
        self,
        selectors: Sequence[Selector],
        told: Told,
        say: Callable[[str], None],
        ticked: Ticked = _nothing,
    ) -> None:
        self.search = Search(selectors)
        self.told = told
        self.ticked = ticked
        self.say = say
        self.running = False
        self.watching = False
        self.met = 0  # how often a call of a chosen function began or went on
        self.joined = 0  # how many adapters came
        self.current = -1  # the number of the activation that is looked at
        # Asked of each code object that Python tells us of, before it is chosen or not.
        self.on_new_code: Callable[[FrameType], None] | None = None
        self._activations = 0
        self._thread = 0
        # By id of a code object. The code objects are kept, so that an id stays theirs.
        self._chosen: dict[int, Chosen] = {}
        self._codes: list[CodeType] = []
        # By id of a frame: its code and activation, of calls in which a clock ticked.
        self._ticking: dict[int, tuple[CodeType, int]] = {}
        self._way = Monitoring(self) if hasattr(sys, "monitoring") else Tracing(self)

    def start(self) -> None:
        self.running = True
        self._thread = threading.get_ident()
        if self.search.selectors:
            self._watch(sys._getframe(1))

    def join(self, adapter: Adapter, frame: FrameType) -> None:
        """Watch what an adapter names too, also in `frame`, which runs, and the calls around it."""
        self.search.add((*adapter.selectors, *adapter.clocks))
        self._chosen.clear()
        self.joined += 1
        self._watch(frame)

    def _watch(self, frame: FrameType) -> None:
        if not self.running or threading.get_ident() != self._thread:
            return
        if self.watching:
            self._way.resume()  # what was quiet may now be chosen
            self._way.widen(frame)
        else:
            self.watching = True
            self._way.start(frame)

    def stop(self) -> None:
        """Take everything away, and say which selectors gave no stage."""
        if not self.running:
            return
        self.running = False
        if self.watching:
            self.watching = False
            self._way.stop(sys._getframe(1))
        for sentence in self.search.unmatched():
            self.say(sentence)

    def suspend(self) -> bool:
        """See no more calls until `resume`; False where seeing them costs nothing."""
        return self.watching and self._way.suspend()

    def resume(self) -> None:
        if self.watching:
            self._way.resume()

    def chosen(self, frame: FrameType) -> Chosen:
        """What is chosen in the function of `frame`; decided once for each code object."""
        code = frame.f_code
        found = self._chosen.get(id(code))
        if found is None:
            if self.on_new_code is not None:
                self.on_new_code(frame)
            self._codes.append(code)
            selectors, clocks = self.search.chosen(frame)
            found = self._chosen[id(code)] = Chosen(
                tuple(Choice(s, Stores(code, s.variable)) for s in selectors), tuple(clocks)
            )
        return found

    def activation(self, chosen: Chosen, frame: FrameType, *, running: bool) -> Activation:
        self._activations += 1
        return Activation(chosen, frame, self._activations, running=running)

    def look(self, activation: Activation, frame: FrameType) -> None:
        outer, self.current = self.current, activation.number
        if activation.ticked:  # also a generator that goes on
            self._ticking[id(frame)] = (frame.f_code, activation.number)
        try:
            activation.look(frame, self.told, self._tick, self.search.matched)
        except Exception as fault:
            # A fault of ours may cost a stage, never the program.
            self.say(f"a stage in {frame.f_code.co_qualname} was not recorded: {fault!r}")
        finally:
            self.current = outer

    def left(self, frame: FrameType) -> None:
        """A call ended, or a generator was left for a while."""
        self._ticking.pop(id(frame), None)

    def _tick(self, clock: Clock, frame: FrameType) -> None:
        if not clock.ends:
            self._ticking[id(frame)] = (frame.f_code, self.current)
        self.ticked(clock, frame)

    def ticking(self, frame: FrameType | None) -> int:
        """The activation, nearest to `frame`, whose steps are counted; -1 if there is none."""
        while frame is not None and self._ticking:
            found = self._ticking.get(id(frame))
            if found is not None and found[0] is frame.f_code:
                return found[1]
            frame = frame.f_back
        return -1
