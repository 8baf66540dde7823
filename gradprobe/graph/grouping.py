"""Which denoiser calls make up one step: told from the states, and checked against the loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gradprobe.graph.states import States


def groups_of(states: States, turns: Sequence[int] | None) -> list[int] | None:
    """A step number for each call, None where it cannot be told.

    An evaluation begins a step if a later state was made from its state past the denoiser: the
    midpoint of a Runge-Kutta method is no such state, and each state of a multistep method is. The
    turns of the sampling loop say the same but where a method takes several turns for a step, or
    several steps a turn.
    """
    by_state = _by_state(states)
    regular = _is_regular(by_state)
    if turns is None:
        several = len(set(by_state)) < len(set(states.evaluation))
        return list(by_state) if regular and several else None
    if not turns[-1]:
        return None  # the loop never came round
    if not regular:
        return list(turns) if list(turns) == list(by_state) else None
    if _refines(turns, by_state):
        return list(by_state)
    return list(turns) if _refines(by_state, turns) else None


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
