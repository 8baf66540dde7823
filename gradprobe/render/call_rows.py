"""The denoiser's calls as a bounded list of rows: what gradient did at each, alike ones folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gradprobe.records.report import DenoiserCall, Leaf
from gradprobe.render.plain import cropped
from gradprobe.render.stage_rows import sigma_span

_NAME_CELLS = 22
_LEAF_CELLS = 12
_FOLD_FROM = 3


@dataclass(frozen=True, slots=True)
class CallRow:
    """One line; `dead` where gradient does not go through. `fold` rows stand for many steps."""

    step: str
    call: str
    sigma: str
    name: str
    gradient: str
    dead: bool
    fold: bool = False


def all_live(calls: Sequence[DenoiserCall]) -> bool:
    """Whether gradient goes through every call, to every leaf: nothing is to be told then."""
    return all(_through(call) for call in calls)


def call_rows(calls: Sequence[DenoiserCall], leaves: Sequence[Leaf], most: int) -> list[CallRow]:
    """At most `most` rows, and one that counts what is missing; stretches of alike steps fold."""
    names = [leaf.name for leaf in leaves]
    steps = [list(group) for _, group in groupby(calls, key=lambda call: call.step)]
    found: list[CallRow] = []
    for _, alike in groupby(steps, key=lambda step: _shape(step, names)):
        run = list(alike)
        if len(run) < _FOLD_FROM or run[0][0].step is None:
            found += [_row([call], names) for step in run for call in step]
        else:
            found += [_row(same, names) for same in zip(*run, strict=True)]
    if len(found) <= most:
        return found
    left = most // 2
    hidden = CallRow("", "", "", f"{len(found) - most} more rows", "", dead=False, fold=True)
    return [*found[:left], hidden, *found[len(found) - (most - left) :]]


def _shape(step: Sequence[DenoiserCall], leaves: Sequence[str]) -> object:
    """What alike steps share; calls in no step stand apart."""
    return step[0].step is None, [_looks(call, leaves) for call in step]


def _looks(call: DenoiserCall, leaves: Sequence[str]) -> object:
    return call.call, call.name, call.entered, [call.left.get(leaf) for leaf in leaves]


def _row(calls: Sequence[DenoiserCall], leaves: Sequence[str]) -> CallRow:
    """One row for the same call of one step or of many."""
    first, last = calls[0], calls[-1]
    step = "" if first.step is None else str(first.step)
    return CallRow(
        step if first is last else f"{step}-{last.step}",
        str(first.call),
        sigma_span([call.sigma for call in calls]),
        cropped(first.name, _NAME_CELLS),
        f"in {first.entered}, out {_out(first, leaves)}",
        dead=not _through(first),
        fold=first is not last,
    )


def _out(call: DenoiserCall, leaves: Sequence[str]) -> str:
    if len(leaves) == 1:
        return call.left.get(leaves[0], "unknown")
    answers = [f"{cropped(leaf, _LEAF_CELLS)} {call.left.get(leaf, 'unknown')}" for leaf in leaves]
    return ", ".join(answers)


def _through(call: DenoiserCall) -> bool:
    return call.entered == "yes" and all(answer == "yes" for answer in call.left.values())
