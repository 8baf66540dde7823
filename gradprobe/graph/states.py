"""The state of the sampler: what each denoiser call starts from, and what remains at the end."""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.graph.ending import final_of, narrows_of
from gradprobe.graph.skeleton import Event, Skeleton
from gradprobe.records.op import Kind

_FAR = 16  # ops between the running state and the denoiser that takes it (a scale, a cat, a cast)


@dataclass(frozen=True, slots=True)
class States:
    """`of_call[i]` is the state that call i starts from; calls of one state are one evaluation.

    `base[j]` is the evaluation whose state the j-th evaluation's was made from by the shortest way
    past the denoiser; None where there is no such way. The last entry is that of `final`, the state
    that the sampler ends with, if it is known.
    """

    of_call: tuple[int | None, ...]
    evaluation: tuple[int, ...]  # by call
    base: tuple[int | None, ...]
    start: int | None
    final: int | None
    ends: tuple[int, ...]  # whatever else could be final, as far as the dataflow alone says


def states_of(bones: Skeleton) -> States:
    """Find the states. Linear in the sampler's own ops."""
    of_call = tuple(
        _state_before(bones, number, event)
        for number, event in enumerate(bones.events)
        if event.call is not None
    )
    evaluation: list[int] = []
    known: dict[int, int] = {}
    for position, state in enumerate(of_call):
        key = -1 - position if state is None else state
        evaluation.append(known.setdefault(key, len(known)))
    ends = narrows_of(bones, _sizes(bones))
    final = final_of(bones, ends)
    return States(
        of_call=of_call,
        evaluation=tuple(evaluation),
        base=_bases(bones, known, final),
        start=_start(bones, of_call),
        final=final,
        ends=ends,
    )


def _sizes(bones: Skeleton) -> set[int]:
    """How many elements the state may have at the end."""
    last = next((e for e in reversed(bones.events) if e.call is not None), None)
    if last is None:
        return set()
    sizes = {bones.size(v) for v in last.outputs}
    state = _argument(bones, last)
    if state is not None:
        sizes |= {bones.size(state), bones.size(state) // 2}
    return sizes


def _argument(bones: Skeleton, event: Event) -> int | None:
    """The argument of a call that is the state: the first of its result's size, doubled or halved.

    Guidance doubles the batch, and a learned variance doubles the channels of the result.
    """
    if event.call is None or not event.outputs:
        return None
    given = bones.calls[event.call].inputs
    sizes = [bones.size(v) for v in event.outputs]
    fitting = [v for v in given if any(bones.size(v) * 2 in (s, 2 * s, 4 * s) for s in sizes)]
    fitting = [v for v in fitting if bones.moving(v)]
    return next((v for v in fitting if v in bones.flow.between), next(iter(fitting), None))


def _state_before(bones: Skeleton, number: int, event: Event) -> int | None:
    """The state that a call's argument was made from.

    A sampler scales the state, casts it or doubles it for guidance before the call, and goes on
    with the state. So the last value on the way back is meant that something else uses too.
    """
    first = _argument(bones, event)
    value, below = first, number
    for _ in range(_FAR):
        if value is None or value in bones.flow.leaf.values:
            return value
        if any(user != below for user in bones.users.get(value, ())):
            return value
        made = bones.made_by.get(value)
        if made is None or bones.events[made].call is not None or bones.noise_at(made):
            return value
        inputs = {v for v in bones.events[made].inputs if bones.moving(v)}
        if len(inputs) != 1:
            return first
        below = made
        (value,) = inputs
    return first


def _start(bones: Skeleton, of_call: tuple[int | None, ...]) -> int | None:
    """The state before the first call and before any noise that joined it there."""
    state = of_call[0] if of_call else None
    for merge in reversed(bones.merges):
        event = bones.events[merge.event]
        if state is not None and state in event.outputs:
            state = merge.state
    return state


def _bases(bones: Skeleton, known: dict[int, int], final: int | None) -> tuple[int | None, ...]:
    """By evaluation, and last of `final`, the nearest earlier state past the denoiser."""
    nearest: dict[int, tuple[int, int]] = {}  # value -> (distance, minus the evaluation)
    base: dict[int, int | None] = {}

    def name(value: int) -> None:
        if value in known:
            base[known[value]] = -nearest[value][1] if value in nearest else None
            nearest[value] = (0, -known[value])

    for value in known:
        if value not in bones.made_by:
            name(value)
    for number, event in enumerate(bones.events):
        if event.call is None:
            noise = bones.noise_at(number)
            free = bones.data.trace.ops.callee_of(event.op).kind in (Kind.VIEW, Kind.CAST)
            ways = [nearest[v] for v in event.inputs if v in nearest and v not in noise]
            if ways:
                distance, which = min(ways)
                for value in event.outputs:
                    nearest[value] = (distance + (not free), which)
        for value in event.outputs:
            name(value)
    last = -nearest[final][1] if final in nearest else None
    return (*(base.get(number) for number in range(len(known))), last)
