"""The stages that the dataflow shows by itself: where the state starts, what each step does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradprobe.graph.skeleton import Merge
from gradprobe.graph.steps import Steps, tick_at
from gradprobe.graph.turns import goes_on
from gradprobe.records.source import Frame

START, INPUT, NOISE = "start_state", "step_input", "step_noise"
DENOISED, FINAL = "denoised_output", "final_output"


@dataclass(frozen=True, slots=True)
class Landmark:
    """A value that is a stage. `op` is when it came to be; `call` numbers calls inside the step."""

    name: str
    value: int
    op: int
    at: Frame | None
    step: int | None = None
    call: int | None = None
    sigma: float | None = None
    grad_fn: str | None = None
    position: int | None = None  # of the denoiser's calls, which gave it


def landmarks_of(steps: Steps) -> tuple[Landmark, ...]:
    """In order of time. Nothing is named where no denoiser was found."""
    if not steps.calls or steps.bones is None or steps.states is None:
        return ()
    found = [*_states(steps), *_noise(steps), *_denoised(steps)]
    named = {mark.value for mark in found if mark.name != INPUT}
    found = [mark for mark in found if mark.name != INPUT or mark.value not in named]
    final = steps.states.final
    given = next((mark for mark in found if mark.value == final and mark.name == DENOISED), None)
    if given is not None and steps.cleans:
        found.remove(given)
    if given is not None:
        found.append(replace(given, name=FINAL, step=None, call=None))
    elif final is not None:
        found.append(_mark(steps, FINAL, final))
    found.sort(key=lambda mark: mark.op)
    return tuple(found)


def level_of(steps: Steps, step: int | None) -> float | None:
    """The noise level or timestep with which a step begins."""
    if step is None:
        return None
    ticked = next((tick.sigma for tick in steps.ticks if tick.step == step), None)
    if ticked is not None:
        return ticked
    return next((c.sigma for c, s in zip(steps.calls, steps.steps, strict=True) if s == step), None)


def _mark(steps: Steps, name: str, value: int, step: int | None = None) -> Landmark:
    trace = steps.trace
    op = trace.values.at[value]
    at = trace.frame_of(op) if op >= 0 and trace.frames else None
    return Landmark(name, value, op, at, step, sigma=level_of(steps, step))


def _states(steps: Steps) -> Iterator[Landmark]:
    assert steps.states is not None
    if steps.states.start is not None:
        yield _mark(steps, START, steps.states.start)
    for position, state in enumerate(steps.states.of_call):
        begins = steps.within[position] == 0 and steps.steps[position] is not None
        if state is not None and begins:
            yield _mark(steps, INPUT, state, steps.steps[position])


def _denoised(steps: Steps) -> Iterator[Landmark]:
    assert steps.bones is not None
    between = steps.bones.flow.between
    for position, call in enumerate(steps.calls):
        value = next((v for v in call.outputs if v in between), None)
        if value is not None:
            yield Landmark(
                DENOISED,
                value,
                call.to_op - 1,
                call.at,
                steps.steps[position],
                steps.within[position],
                call.sigma,
                call.grad_fn,
                position,
            )


def _noise(steps: Steps) -> Iterator[Landmark]:
    assert steps.bones is not None
    events = [number for number, e in enumerate(steps.bones.events) if e.call is not None]
    churns = any(merge.event < events[0] for merge in steps.bones.merges)
    for merge in steps.bones.merges:
        yield _mark(steps, NOISE, merge.noise, _step_of(steps, merge, events, churns))


def _step_of(steps: Steps, merge: Merge, events: list[int], churns: bool) -> int | None:
    """The step that noise belongs to: with churn it comes before the step's call, else after."""
    assert steps.bones is not None
    op = steps.bones.events[merge.event].op
    if steps.ticks:
        tick = tick_at(steps.ticks, op)
        return None if tick is None else tick.step
    following = next((n for n, event in enumerate(events) if event > merge.event), len(events))
    after = steps.steps[following] if following < len(events) else None
    if following == 0:
        return after
    before = steps.steps[following - 1]
    if after is None or before == after:
        return before
    drawn = steps.trace.stacks.get(steps.trace.values.at[merge.noise])
    call = steps.calls[following - 1].where
    if drawn is not None and call.frames:
        return before if goes_on(call, drawn) else after
    return after if churns else before
