"""Finds the nodes of stages in the graph that a backward is about to run, and measures there.

A stage that nobody marked is known only when the forward is over. Its tensor may be gone by then;
its node is in the graph, and known by its place in the order of creation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradprobe.capture.glimpse import glimpse
from gradprobe.capture.gradient_stats import Awaited, as_stats
from gradprobe.capture.graph_walk import GraphWalk
from gradprobe.capture.module_watch import WatchedCall
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.shift import Shift
from gradprobe.capture.stage_recall import Places, Recall, Sought
from gradprobe.capture.torch_internals import device_of, in_transform
from gradprobe.capture.value_stats import on_host
from gradprobe.records.backward import Measured
from gradprobe.records.norms import StageKey
from gradprobe.records.tensor import REQUIRES_GRAD
from gradprobe.records.trace import Trace

_MOST_OPS = 400_000  # that all looks of one run may go through together
_WALK = 8_000  # nodes that the search visits in a run


@dataclass(slots=True)
class _Found:
    """A stage's node, once it was found; the gradient that came by in this pass."""

    value: int
    position: int
    shape: tuple[int, ...]
    key: StageKey | None
    grad_fn: str = ""
    numbers: Awaited | None = None
    device: str | None = None
    call: WatchedCall | None = None  # that gave it as its result, and measures it


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
        self._seen = 0

    def begin(self, roots: Sequence[Tensor]) -> tuple[list[Any], list[_Found]]:
        """Hook the stages' nodes for one pass; returns the handles and what they fill."""
        try:
            return self._hooked(roots)
        except Exception as fault:
            # A fault of ours may cost the stages, never the program.
            self.recorder.say(f"stages were not looked for: {fault!r}")
            return [], []

    def _hooked(self, roots: Sequence[Tensor]) -> tuple[list[Any], list[_Found]]:
        recorder = self.recorder
        if self.walk.cut_off:
            return self._refused()
        key = self.recall.key()
        places = self.recall.places(key)
        if places is None:
            places = self._searched()
            if places is None:
                return self._refused()
            self.recall.keep(key, places)
        numbers = recorder.journal.sequence
        by_number: dict[int, list[_Found]] = {}
        by_calls: list[_Found] = []
        calls = self._results()
        for sought in places.sought:
            found = _Found(sought.value, sought.position, sought.shape, sought.key)
            found.call = calls.get(sought.value)
            if found.call is not None:
                by_calls.append(found)
            else:
                by_number.setdefault(numbers[sought.op] - 1, []).append(found)
        if not by_number:
            return [], by_calls
        inside = [(numbers[a - 1] if a else 0, numbers[b - 1]) for a, b in places.inside]
        handles = []
        for number, node in self.walk.find(roots, by_number, inside):
            for found in by_number[number]:
                found.grad_fn = node.name()
                handles.append(node.register_prehook(self._measuring(found)))
        hooked = [f for group in by_number.values() for f in group if f.grad_fn]
        return handles, [*by_calls, *hooked]

    def _results(self) -> dict[int, WatchedCall]:
        """The calls of this turn by their result, where a hook of theirs sits on its node."""
        begin = self.recorder.iterations.begin.op
        found = {}
        for call in reversed(self.recorder.modules.calls):
            if call.from_op < begin:
                break
            if call.grad_fn is not None:
                found[call.outputs[0]] = call
        return found

    def _refused(self) -> tuple[list[Any], list[_Found]]:
        self.recorder.say("stages that nobody marked were measured in the first passes only")
        return [], []

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
            shape = seen.values.describe(value).shape
            position = made.index(value) if value in made else 0
            sought.append(Sought(op, value, position, shape, key))
        return Places(tuple(sought), tuple(_denoisers(seen)))

    def _take(self, found: _Found, call: WatchedCall) -> bool:
        """What a call's own hook saw, if that was in this pass."""
        if call.measured_in != self.recorder.mode.passes:
            return False
        found.grad_fn, found.numbers, found.device = call.grad_fn or "", call.measured, call.device
        return True

    def _measuring(self, found: _Found) -> Callable[[tuple[Tensor | None, ...]], None]:
        tick, numbers = self.recorder.journal.tick, self.recorder.numbers

        def given(gradients: tuple[Tensor | None, ...]) -> None:
            if tick is not None:
                tick()
            position = found.position if found.position < len(gradients) else 0
            grad = gradients[position]
            if grad is not None and tuple(grad.shape) == found.shape and not in_transform(grad):
                found.numbers = numbers.gradient(grad)
                found.device = device_of(grad)

        return given

    def forget(self, shift: Shift) -> None:
        self._seen = shift.op(self._seen)

    def measured(self, found: Iterable[_Found]) -> dict[int, Measured]:
        """What the hooks saw, on the host."""
        every = [f for f in found if f.call is None or self._take(f, f.call)]
        arrived = on_host(f.numbers for f in every if isinstance(f.numbers, Tensor))
        return {
            f.value: Measured(
                f.grad_fn,
                None if f.numbers is None else as_stats(f.numbers, arrived),
                f.device,
                f.key,
            )
            for f in every
        }


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
