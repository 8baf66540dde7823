"""Stages, module calls and steps of a trace, with the numbers that other devices held till now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from gradprobe.capture.gradient_stats import Awaited
from gradprobe.capture.module_watch import WatchedCall
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.shift import Point
from gradprobe.capture.stage_watch import WatchedStage
from gradprobe.capture.steps import Steps, number_of
from gradprobe.capture.value_stats import Held, Values, as_value_stats, on_host
from gradprobe.records.norms import StageKey
from gradprobe.records.report import ValueStats
from gradprobe.records.sampling import ModuleCall, StageMark, Tick
from gradprobe.records.source import Frame

# Points before and after the loop, whatever clock may run there.
_OUTSIDE = ("z0", "start_state", "final_output")


@dataclass(frozen=True, slots=True)
class Sampling:
    """What was seen of the sampler."""

    stages: tuple[StageMark, ...]
    calls: tuple[ModuleCall, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """The gradient of a stage that was named, as it was measured last."""

    key: StageKey
    moment: int
    measured: Awaited
    norm: float


def sampling(recorder: Recorder, frames: Sequence[Frame | None]) -> Sampling:
    """The stages that are to be kept, the module calls and the steps."""
    copied = on_host(_numbers(recorder))
    steps = Steps(recorder.marks.beats, copied, [p.at_op for p in recorder.passes.passes])

    def stats(values: Values | None) -> ValueStats | None:
        return None if values is None else as_value_stats(values, copied)

    # A leaf that was marked is measured with the other leaves, at each backward.
    leaves = {v: g for p in recorder.passes.passes for v, g in p.reached.items() if g is not None}
    stages = []
    assigned = [(stage, steps.of(stage)) for stage in recorder.stages]
    for s, tick in _kept(assigned, clocked=bool(recorder.marks.beats)):
        step, sigma = _step(s, tick, steps), number_of(s.sigma, copied)
        # A selector that looks for a level of its own means another one than its step's.
        own = s.selector is not None and s.selector.sigma is not None
        if tick is not None and s.name not in _OUTSIDE and sigma is None and not own:
            sigma = steps[tick].sigma
        stages.append(
            StageMark(
                name=s.name,
                step=step,
                sigma=sigma,
                value=s.value,
                at_op=s.at_op,
                at=frames[s.place],
                grad_fn=s.grad_fn,
                grad=s.stats(copied) or leaves.get(s.value),
                source=s.source,
                stats=stats(s.values),
                device=s.device,
                is_leaf=s.is_leaf,
                version=s.version,
            )
        )
    calls = tuple(
        ModuleCall(
            module=c.module,
            name=c.name,
            depth=c.depth,
            from_op=c.from_op,
            to_op=c.to_op if c.to_op >= 0 else len(recorder.journal.head),
            inputs=c.inputs,
            outputs=c.outputs,
            where=c.where,
            at=frames[c.place],
            grad_fn=c.grad_fn,
            grad=c.stats(copied),
            sigma=number_of(c.sigma, copied),
            stats=stats(c.values),
            device=c.device,
        )
        for c in recorder.modules.calls
    )
    return Sampling(tuple(stages), calls, steps.ticks())


def marked_since(recorder: Recorder, begin: Point) -> Iterator[Marked]:
    """The stages named since then that gradient has reached, with its norm."""
    stages = [s for s in recorder.stages if s.moment > begin.moment]
    beats = [b for b in recorder.marks.beats if b.moment > begin.moment]
    held = [n for b in beats for n in (b.number, b.sigma)]
    numbers = [*held, *(s.measured for s in stages)]
    copied = on_host(n for n in numbers if isinstance(n, Tensor))
    steps = Steps(beats, copied, [p.at_op for p in recorder.passes.passes])
    for s, tick in _kept([(s, steps.of(s)) for s in stages], clocked=bool(beats)):
        grad = s.stats(copied)
        if grad is not None and s.measured is not None:
            yield Marked(StageKey(s.name, _step(s, tick, steps)), s.moment, s.measured, grad.norm)


def _step(stage: WatchedStage, tick: int | None, steps: Steps) -> int | None:
    if stage.step is not None or tick is None or stage.name in _OUTSIDE:
        return stage.step
    return steps[tick].step


def _numbers(recorder: Recorder) -> Iterator[Tensor]:
    """All that is still where it was computed."""
    measured: list[WatchedStage | WatchedCall] = [*recorder.stages, *recorder.modules.calls]
    for one in measured:
        if isinstance(one.values, Held):
            yield one.values.numbers
        if isinstance(one.sigma, Tensor):
            yield one.sigma
        if isinstance(one.measured, Tensor):
            yield one.measured
    for beat in recorder.marks.beats:
        for number in (beat.number, beat.sigma):
            if isinstance(number, Tensor):
                yield number


def _kept(
    stages: Sequence[tuple[WatchedStage, int | None]], clocked: bool
) -> Iterator[tuple[WatchedStage, int | None]]:
    """Those that their selector means, of several in one call or step.

    Where steps are counted, what lies outside of them is in none; where not, a call is taken for
    one.
    """
    groups: dict[object, list[int]] = {}
    keys = []
    for position, (stage, tick) in enumerate(stages):
        selector = stage.selector
        key: object = position
        if selector is not None and selector.keep != "each":
            by_step = clocked and selector.keep.endswith("step")
            key = (selector, tick) if by_step else (selector, "call", stage.activation)
            if key == (selector, None):
                key = None
        keys.append(key)
        groups.setdefault(key, []).append(position)
    for position, (stage, tick) in enumerate(stages):
        if keys[position] is None:
            continue
        group = groups[keys[position]]
        meant, _, _ = (stage.selector.keep if stage.selector is not None else "each").partition(" ")
        if position in {"last": group[-1:], "rest": group[1:]}.get(meant, group[:1]):
            yield stage, tick
