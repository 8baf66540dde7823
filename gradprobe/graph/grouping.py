"""Which denoiser calls make up one step: told from the states, and checked against the loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gradprobe.graph.states import States

_FEW = 3  # so many calls can be the steps of almost any method


def groups_of(
    states: States, turns: Sequence[int] | None, levels: Sequence[float | None]
) -> list[int] | None:
    """A step number for each call, None where it cannot be told.

    An evaluation begins a step if a later state was made from its state past the denoiser: the
    midpoint of a Runge-Kutta method is no such state, and each state of a multistep method is. The
    turns of the sampling loop say the same but where a method takes several turns for a step, or
    several steps a turn. Several turns are one step only if the last of them asked at the level
    (noise level or timestep, one for each call) where the next step begins: else the schedule's own
    levels may lie between.
    """
    by_state = _by_state(states)
    regular = _is_regular(by_state)
    if turns is None:
        several = len(set(by_state)) < len(set(states.evaluation))
        return list(by_state) if regular and several else None
    if not turns[-1]:
        return None  # the loop never came round
    if not regular:
        agree = list(turns) == list(by_state)
        return list(turns) if agree or _is_multistep(turns, levels) else None
    if _refines(by_state, turns):
        return list(turns)
    if _refines(turns, by_state) and _ends_ahead(by_state, levels):
        return list(by_state)
    return None


def _by_state(states: States) -> list[int]:
    """A step for each call, from the states alone."""
    count = max(states.evaluation, default=-1) + 1
    leaders = {0}
    for number, base in enumerate(states.base):
        if number:
            leaders.add(number - 1 if base is None else base)
    steps: list[int] = []
    for evaluation in range(count):
        fresh = evaluation in leaders
        steps.append((steps[-1] + fresh) if steps else 0)
    return [steps[evaluation] for evaluation in states.evaluation]


def _sizes(steps: Sequence[int]) -> list[int]:
    return [len(list(group)) for _, group in groupby(steps)]


def _is_regular(steps: Sequence[int]) -> bool:
    """Whether the steps look like those of one method: all of a size but the last, or, where it
    warms up, some of one size and then single calls."""
    sizes = _sizes(steps)
    largest = max(sizes, default=0)
    if largest == 1:
        return True
    full = sizes.count(largest)
    head, tail = sizes[:full], sizes[full:]
    warm = full > 1 and largest > 2 and all(size == 1 for size in tail)
    return all(size == largest for size in head) and full > 1 and (len(tail) < 2 or warm)


def _refines(finer: Sequence[int], coarser: Sequence[int]) -> bool:
    """Whether every group of the finer lies within one of the coarser."""
    inside: dict[int, int] = {}
    return all(inside.setdefault(a, b) == b for a, b in zip(finer, coarser, strict=True))


def _ends_ahead(steps: Sequence[int], levels: Sequence[float | None]) -> bool:
    """Whether each step but the last ends with a call at the level where the next step begins."""
    borders = [i for i in range(1, len(steps)) if steps[i] != steps[i - 1]]
    several = [i for i in borders if i > 1 and steps[i - 1] == steps[i - 2]]
    return all(levels[i] is not None and levels[i] == levels[i - 1] for i in several)


def _is_multistep(turns: Sequence[int], levels: Sequence[float | None]) -> bool:
    """Whether each turn made one call, and each at a level of its own."""
    alone = len(set(turns)) == len(turns) and None not in levels
    return alone and len(set(levels)) == len(levels) > _FEW
