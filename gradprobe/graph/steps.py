"""Which module is the denoiser, and which step of the sampler its calls and other ops belong to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.denoiser import denoiser_calls
from gradprobe.graph.flow import Flow
from gradprobe.graph.grouping import groups_of
from gradprobe.graph.skeleton import Skeleton, skeleton
from gradprobe.graph.states import States, states_of
from gradprobe.graph.turns import comes_round, goes_on, turns_of
from gradprobe.records.sampling import ModuleCall, Tick, Where
from gradprobe.records.trace import Trace


@dataclass(frozen=True, slots=True)
class Steps:
    """The denoiser's calls on the way to one root, each with its step.

    `steps[i]` belongs to `calls[i]`, and `within[i]` is its number inside the step; empty calls
    mean that no denoiser was found. None as a step: it cannot be told, or the call belongs to none
    (the last denoising of a sampler that cleans its result).
    """

    trace: Trace
    calls: tuple[ModuleCall, ...] = ()
    steps: tuple[int | None, ...] = ()
    within: tuple[int, ...] = ()
    ticks: tuple[Tick, ...] = ()
    bones: Skeleton | None = None
    states: States | None = None
    cleans: bool = False  # the last call is no step, it cleans the result

    @property
    def count(self) -> int | None:
        known = [step for step in self.steps if step is not None]
        return max(known) + 1 if known else None

    def call_at(self, op: int) -> ModuleCall | None:
        """The denoiser call within which `op` ran."""
        return next((c for c in self.calls if c.from_op <= op < c.to_op), None)

    def of(self, op: int, where: Where | None = None) -> int | None:
        """The step in which `op` ran, None where that cannot be said. `where` is its stack."""
        if not self.calls or self.steps[0] is None:
            return None
        last = bisect_right(self.calls, op, key=lambda call: call.from_op) - 1
        if last >= 0 and op < self.calls[last].to_op:
            return self.steps[last]
        if self._ended(op):
            return None
        tick = tick_at(self.ticks, op)
        if tick is not None and (tick.step or last >= 0):
            return tick.step
        where = where or self.trace.stacks.get(op)
        if where is None or not self.calls[0].where.frames:
            return None
        if last < 0:
            return 0 if self._in_loop(self.calls[0].where, where) else None
        if not self._in_loop(self.calls[last].where, where):
            return None
        if goes_on(self.calls[last].where, where):
            return self.steps[last]
        following = self.steps[last + 1] if last + 1 < len(self.steps) else None
        step = self.steps[last]
        return following if following is not None or step is None else step + 1

    def begun_from(self, state: int) -> int | None:
        """The step that begins with a state."""
        of_call = self.states.of_call if self.states is not None else ()
        return next((s for s, v in zip(self.steps, of_call, strict=True) if v == state), None)

    def around(self, op: int, value: int) -> int | None:
        """The step in which a value was seen at `op`, told without a stack.

        Between two calls of different steps, what was made from the state that the second starts
        from is the second's.
        """
        op = min(op, self.trace.values.at[value]) if self.trace.values.at[value] >= 0 else op
        last = bisect_right(self.calls, op, key=lambda call: call.from_op) - 1
        if last < 0 or self._ended(op):
            return None
        tick = tick_at(self.ticks, op)
        if tick is not None:
            return tick.step
        following = last + 1
        if following < len(self.calls) and self.states is not None and self.bones is not None:
            state = self.states.of_call[following]
            made = self.trace.values.at[state] if state is not None else None
            if made is not None and self.trace.values.at[value] > made >= 0:
                return self.steps[following]
        return self.steps[last]

    def _ended(self, op: int) -> bool:
        """Whether `op` ran after the sampler had its result."""
        final = self.states.final if self.states is not None else None
        return final is not None and op > self.trace.values.at[final] >= self.calls[-1].from_op

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


def tick_at(ticks: tuple[Tick, ...], op: int) -> Tick | None:
    """The tick that `op` comes after; None before the first."""
    position = bisect_right(ticks, op, key=lambda tick: tick.at_op) - 1
    return ticks[position] if position >= 0 else None


def steps_of(data: Dataflow, flow: Flow, ends: Where | None) -> Steps:
    """Find the denoiser between leaf and root, and number its steps.

    What an adapter saw comes first, then what the states and the loop around the calls say. `ends`
    is where backward was called.
    """
    trace = data.trace
    calls = denoiser_calls(data, flow)
    if not calls:
        return Steps(trace)
    bones = skeleton(data, flow, calls)
    states = states_of(bones)
    ticks = _ticks_around(trace, calls)
    steps: list[int | None] = [None] * len(calls)
    if ticks:
        ticked = [tick_at(ticks, call.from_op) for call in calls]
        steps = [None if tick is None else tick.step for tick in ticked]
    elif comes_round(calls):
        levels = [call.sigma for call in calls]
        steps = list(groups_of(states, turns_of(trace, calls, ends), levels) or steps)
    cleans = _cleans(calls, states, bones) and (not ticks or ticks[-1].at_op <= calls[-2].to_op)
    if cleans:
        steps[-1] = None
    return Steps(trace, calls, tuple(steps), _within(steps), ticks, bones, states, cleans)


def _ticks_around(trace: Trace, calls: tuple[ModuleCall, ...]) -> tuple[Tick, ...]:
    """The ticks of the run that these calls belong to; none if it began before an adapter saw."""
    first = bisect_right(trace.ticks, calls[0].from_op, key=lambda tick: tick.at_op) - 1
    if first < 0:
        return ()
    while first > 0 and trace.ticks[first - 1].step <= trace.ticks[first].step > 0:
        first -= 1
    return tuple(tick for tick in trace.ticks[first:] if tick.at_op < calls[-1].to_op)


def _within(steps: list[int | None]) -> tuple[int, ...]:
    found: list[int] = []
    for position, step in enumerate(steps):
        again = position and step is not None and step == steps[position - 1]
        found.append(found[-1] + 1 if again else 0)
    return tuple(found)


def _cleans(calls: tuple[ModuleCall, ...], states: States, bones: Skeleton) -> bool:
    """Whether the last call is no step: its result is the sampler's, from a place of its own."""
    if len(calls) < 3 or states.final is None:
        return False
    sites = [_called_from(call) for call in calls]
    in_loop = len(set(sites[:-1])) < len(sites) - 1
    alone = in_loop and sites[-1] is not None and sites[-1] not in sites[:-1]
    last = next(e for e in reversed(bones.events) if e.call is not None)
    # A cast may follow, so that the result of the call need not be the final value itself.
    narrow = any(value in last.outputs for value in states.ends)
    return alone and narrow and states.base[-1] is None


def _called_from(call: ModuleCall) -> object:
    """All the places on the way: what wraps the denoiser calls it from one place, whoever asks."""
    if call.where.frames:
        return tuple(site for _, site, _ in call.where.frames)
    return call.at.place if call.at is not None else None
