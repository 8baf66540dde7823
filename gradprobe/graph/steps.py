"""Which module is the denoiser, and which step of the sampling loop an op belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gradprobe.graph.flow import Flow
from gradprobe.records.sampling import ModuleCall, Where
from gradprobe.records.trace import Trace


@dataclass(frozen=True, slots=True)
class Steps:
    """The denoiser's calls on the way to one root, each with its step.

    `steps[i]` belongs to `calls[i]`; empty calls mean that no denoiser was found, and None as a
    step that no loop was.
    """

    trace: Trace
    calls: tuple[ModuleCall, ...] = ()
    steps: tuple[int | None, ...] = ()

    @property
    def count(self) -> int | None:
        known = [step for step in self.steps if step is not None]
        return max(known) + 1 if known else None

    def call_at(self, op: int) -> ModuleCall | None:
        """The denoiser call within which `op` ran."""
        return next((c for c in self.calls if c.from_op <= op < c.to_op), None)

    def of(self, op: int) -> int | None:
        """The step in which `op` ran, None where that cannot be said."""
        if not self.calls or self.steps[0] is None:
            return None
        before = [i for i, call in enumerate(self.calls) if call.from_op <= op]
        if before and op < self.calls[before[-1]].to_op:
            return self.steps[before[-1]]
        where = self.trace.stacks.get(op)
        if where is None:
            return None
        if not before:
            return 0 if self._in_loop(self.calls[0].where, where) else None
        last = before[-1]
        if not self._in_loop(self.calls[last].where, where):
            return None
        step = self.steps[last]
        return step if step is None or _goes_on(self.calls[last].where, where) else step + 1

    def _in_loop(self, call: Where, where: Where) -> bool:
        """Whether a place lies in the loop that the denoiser is called from."""
        for (frame, site, _), (other, _, at) in zip(call.frames, where.frames, strict=False):
            if frame != other:
                return False
            for first, last in self.trace.loops.get(site, ()):
                if first <= at <= last and self._repeats(frame, site):
                    return True
        return False

    def _repeats(self, frame: int, site: int) -> bool:
        """Whether calls of more than one step were made from this place of this running frame."""
        steps = {
            step
            for call, step in zip(self.calls, self.steps, strict=True)
            if any(f == frame and s == site for f, s, _ in call.where.frames)
        }
        return len(steps) > 1


def steps_of(trace: Trace, flow: Flow, ends: Where | None) -> Steps:
    """Find the denoiser among the module calls between leaf and root, and number its steps.

    The denoiser is the outermost module that is called at least twice on values that come from the
    leaf. A new step begins when its loop comes round again: two calls on different lines of one
    turn (Heun's method, guidance in two batches) are one step. `ends` is where backward was called.
    """
    usable = [
        call
        for call in trace.calls
        if any(v in flow.between for v in call.inputs)
        and any(v in flow.between for v in call.outputs)
    ]
    by_module: dict[int, list[ModuleCall]] = {}
    for call in usable:
        by_module.setdefault(call.module, []).append(call)
    repeated = [calls for calls in by_module.values() if len(calls) > 1]
    if not repeated:
        return Steps(trace)
    calls = min(repeated, key=lambda group: (min(c.depth for c in group), group[0].from_op))
    calls.sort(key=lambda call: call.from_op)
    numbers = _numbered(trace, calls, ends)
    return Steps(trace, tuple(calls), tuple(numbers) if numbers else (None,) * len(calls))


def _numbered(trace: Trace, calls: Sequence[ModuleCall], ends: Where | None) -> list[int] | None:
    """A step for each call; None where the turns of the sampling loop cannot be told.

    Stacks alone do not say which of two nested loops came round. A loop around the backward too
    (an optimisation) made one turn only; when two others remain, as in an adaptive solver, there is
    no answer. Straight-line code never comes round and has no steps.
    """
    numbers = [0]
    for before, call in pairwise(calls):
        if _goes_on(before.where, call.where):
            numbers.append(numbers[-1])
            continue
        if _turning(trace, before.where, call.where, ends) > 1:
            return None
        numbers.append(numbers[-1] + 1)
    return numbers if numbers[-1] else None


def _turning(trace: Trace, before: Where, call: Where, ends: Where | None) -> int:
    """How many loops may have come round between two calls."""
    at_end = {frame: at for frame, _, at in ends.frames} if ends is not None else {}
    count = 0
    for (frame, site, at), (other, _, later) in zip(before.frames, call.frames, strict=False):
        if frame != other:
            break
        for first, last in trace.loops.get(site, ()):
            if first <= later <= last and not first <= at_end.get(frame, -1) <= last:
                count += 1
        if at != later:
            break
    return count


def _goes_on(before: Where, where: Where) -> bool:
    """Whether the second place comes later in the same turn of every loop than the first."""
    for (frame, _, at), (other, _, later) in zip(before.frames, where.frames, strict=False):
        if frame != other:
            return False
        if at != later:
            return later > at
    return len(before.frames) != len(where.frames)
