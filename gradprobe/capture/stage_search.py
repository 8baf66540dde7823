"""Finds the nodes of stages in the graph that a backward is about to run, and measures there.

A stage that nobody marked is known only when the forward is over. Its tensor may be gone by then;
its node is in the graph, and known by its place in the order of creation.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.glimpse import glimpse
from gradprobe.capture.graph_path import path_to
from gradprobe.capture.graph_walk import GraphWalk
from gradprobe.capture.module_watch import WatchedCall
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.shelf import Shelf
from gradprobe.capture.shift import Shift
from gradprobe.capture.stage_hooks import Found, StageHooks, StagesSeen
from gradprobe.capture.stage_recall import Places, Recall, Sought
from gradprobe.records.norms import StageKey
from gradprobe.records.tensor import REQUIRES_GRAD
from gradprobe.records.trace import Trace

_MOST_OPS = 400_000  # that all looks of one run may go through together
_WALK = 8_000  # nodes that the search visits in an iteration
_NONE: frozenset[int] = frozenset()
_COPIED = 1 << 20  # elements of all gradients that are copied in a pass
_UNMEASURED = 3  # passes of whose gradients there may be copies


class StageSearch:
    """Looks for stages at each backward of one run, within a bound of work."""

    def __init__(
        self, recorder: Recorder, wanted: Callable[[Trace], Mapping[int, StageKey | None]]
    ) -> None:
        self.recorder = recorder
        self.wanted = wanted
        self.left = _MOST_OPS
        self.walk = GraphWalk(_WALK)
        self.recall = Recall(recorder)
        self.hooks = StageHooks(recorder)
        self._seen = 0
        self._goes_on = False  # that pass goes through nodes of earlier turns too
        # What passes before saw, each with where its copies lie.
        self._last: deque[tuple[weakref.ref[StagesSeen], Shelf]] = deque()
        self._shelf: Shelf | None = None  # of the pass that runs
        self._places: Places | None = None  # of the pass that runs, where a turn like it was seen

    @property
    def size(self) -> tuple[int, int] | None:
        """Nodes and edges of the graph, where they were counted in a turn like this one."""
        return None if self._places is None or self._goes_on else self._places.size

    def counted(self, nodes: int, edges: int) -> None:
        """How large the graph is of the pass that begins."""
        if self._places is not None and not self._goes_on:
            self._places.size = nodes, edges

    def begin(self, roots: Sequence[Tensor]) -> tuple[list[Any], list[Found]]:
        """Hook the stages' nodes for one pass; returns the handles and what they fill."""
        self._places = self._shelf = None
        try:
            return self._hooked(roots)
        except Exception as fault:
            # A fault of ours may cost the stages, never the program.
            self.recorder.say(f"stages were not looked for: {fault!r}")
            self.recorder.modules.spared = _NONE
            return [], []

    def _hooked(self, roots: Sequence[Tensor]) -> tuple[list[Any], list[Found]]:
        if self.walk.cut_off:
            return self._refused()
        key = self.recall.key()
        places = self._places = self.recall.places(key)
        self._goes_on = self.recorder.iterations.goes_on()
        if places is None:
            places = self._searched()
            if places is None:
                return self._refused()
            self.recall.keep(key, places)
        numbers, first = self.recorder.journal.sequence, places.begin
        calls = self._results()
        found = []
        by_number: dict[int, list[Found]] = {}
        for index, sought in enumerate(places.sought):
            value = sought.value + first.value
            one = Found(index, value, sought, calls.get(value))
            found.append(one)
            if one.call is None:
                by_number.setdefault(numbers[sought.op + first.op] - 1, []).append(one)
        handles = []
        if by_number:
            shelf = self._shelf = self._shelf_for(places)
            for number, node in self._nodes(roots, by_number, places):
                handles += [self.hooks.put(one, node, shelf) for one in by_number[number]]
        return handles, found

    def _nodes(
        self, roots: Sequence[Tensor], wanted: Collection[int], places: Places
    ) -> list[tuple[int, Any]]:
        """The nodes of these numbers, each with its number: where they were in a turn like this."""
        numbers, first = self.recorder.journal.sequence, places.begin.op
        base, path = numbers[first], places.path
        if path is not None and {base + end for _, end in path.ends} == set(wanted):
            found = self.walk.follow(roots, path, base)
            if found is not None:
                return found
        inside = [(a + first - 1, b + first - 1) for a, b in places.inside]
        stretches = [(numbers[a] if a >= 0 else 0, numbers[b]) for a, b in inside]
        origin: dict[int, tuple[int, int]] = {}
        found = self.walk.find(roots, wanted, stretches, origin)
        if len(found) == len(wanted):
            places.path = path_to(wanted, origin, base)
        return found

    def _refused(self) -> tuple[list[Any], list[Found]]:
        self.recorder.say("stages that nobody marked were measured in the first passes only")
        self.recorder.modules.spared = _NONE
        return [], []

    def _results(self) -> dict[int, WatchedCall]:
        """The calls of this turn by their result, where a hook of theirs sits on its node."""
        begin = self.recorder.iterations.begin.op
        found = {}
        for call in reversed(self.recorder.modules.calls):
            if call.from_op < begin:
                break
            if call.hooked:
                found[call.outputs[0]] = call
        return found

    def _searched(self) -> Places | None:
        """Read the whole trace for what to look for; None where that is more than may be read."""
        recorder = self.recorder
        ops = len(recorder.journal.head)
        work = ops - self._seen + ops // 50  # columns are copied whole, but only new ops are read
        if self.left < work:
            return None
        self.left -= work
        self._seen = ops
        seen = glimpse(recorder)
        sought = []
        for value, key in self.wanted(seen).items():
            op = seen.values.at[value]
            if op < 0 or not seen.values.has(value, REQUIRES_GRAD):
                continue
            made = list(seen.ops.outputs_of(op))
            meta = seen.values.describe(value)
            position = made.index(value) if value in made else 0
            sought.append(Sought(op, value, position, meta.shape, getattr(torch, meta.dtype), key))
        return Places(tuple(sought), tuple(_denoisers(seen)))

    def seen(self, found: Sequence[Found]) -> StagesSeen:
        """What the hooks saw in the pass that is over.

        Copies are there of the last passes only, however many are remembered.
        """
        try:
            self._over(found)
        except Exception as fault:
            # As above.
            self.recorder.say(f"stages were not measured to the end: {fault!r}")
            self.recorder.modules.spared = _NONE
        seen = StagesSeen(found)
        if self._shelf is not None:
            self._last.append((weakref.ref(seen), self._shelf))
            self._shelf = None
        return seen

    def _shelf_for(self, places: Places) -> Shelf | None:
        """For copies of a pass: a new one, or that of a pass long ago, once that was measured.

        Small gradients are copied where turns run alike.
        """
        if places.modules is None or places.elements > _COPIED:
            return None
        layout = places.layout
        if len(self._last) == _UNMEASURED:
            before, shelf = self._last.popleft()
            waiting = before()
            if waiting is not None:
                waiting.measured()
            if shelf.layout == layout:
                return shelf
        return Shelf(layout)

    def _over(self, found: Sequence[Found]) -> None:
        self.hooks.over(found)
        places = self._places
        if places is not None and places.modules is None:
            own = {id(one.call) for one in found}
            calls = self._results().values()
            beside = {call.module for call in calls if id(call) not in own}
            places.modules = frozenset(call.module for call in calls) - beside
        # A call's own hook is needed no more where this search measures its result.
        modules = None if places is None else places.modules
        self.recorder.modules.spared = modules or _NONE

    def forget(self, shift: Shift) -> None:
        """An iteration is forgotten: no later one goes on from it, and its graph ends there."""
        self._seen = shift.op(self._seen)
        self.walk.renew()


def _denoisers(seen: Trace) -> list[tuple[int, int]]:
    """The stretches of ops that ran inside modules called more than once."""
    times: dict[int, int] = {}
    for call in seen.calls:
        times[call.module] = times.get(call.module, 0) + 1
    return [
        (call.from_op, call.to_op)
        for call in seen.calls
        if times[call.module] > 1 and call.to_op > call.from_op
    ]
