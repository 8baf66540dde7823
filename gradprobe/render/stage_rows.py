"""The stages of a run as a bounded list of rows: alike steps in a row become one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from gradprobe.records.report import Answer, GradStats, Leaf, Stage
from gradprobe.render.plain import cropped, tensor

LIVE, LOST, MIXED, UNKNOWN = "live", "lost", "partly", "unknown"
_STATE: dict[Answer, str] = {"yes": LIVE, "no": LOST, "unknown": UNKNOWN}
_FOLD_FROM = 3  # so many alike steps between two shown ones are worth one row
_NAME_CELLS = 22


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `states` has one word per leaf. `fold` rows stand for many steps."""

    step: str
    name: str
    states: tuple[str, ...]
    tensor: str = ""
    grad_fn: str = ""
    norm: str = ""
    fold: bool = False


def rows(
    stages: Sequence[Stage], leaves: Sequence[Leaf], most: int, *, brief: bool = False
) -> list[Row]:
    """At most `most` rows (and one that counts what is missing), in the order of the stages.

    The first and last of a stretch of alike steps stand by themselves, unless it is to be `brief`.
    """
    names = [leaf.name for leaf in leaves]
    blocks = [list(group) for _, group in groupby(stages, key=lambda stage: stage.step)]
    found: list[Row] = []
    for _, alike in groupby(blocks, key=lambda block: _looks(block, names)):
        run = list(alike)
        inner = run[1:-1]
        numbered = run[0][0].step is not None
        if brief and numbered and len(run) > 1:
            found.append(_folded(run, names))
        elif len(inner) >= _FOLD_FROM and numbered:
            found += _plain(run[0], names)
            found.append(_folded(inner, names))
            found += _plain(run[-1], names)
        else:
            found += [row for block in run for row in _plain(block, names)]
    if len(found) <= most:
        return found
    left = most // 2
    hidden = Row("", f"{len(found) - most} more rows", (), fold=True)
    return [*found[:left], hidden, *found[len(found) - (most - left) :]]


def _looks(block: Iterable[Stage], leaves: Sequence[str]) -> object:
    return [
        (s.step is None, s.name, _states(s, leaves), s.shape, s.dtype, s.grad_fn, _sound(s.grad))
        for s in block
    ]


def _states(stage: Stage, leaves: Sequence[str]) -> tuple[str, ...]:
    return tuple(_STATE[stage.connected.get(leaf, "unknown")] for leaf in leaves)


def _sound(grad: GradStats | None) -> bool | None:
    """Whether a gradient is finite and not all zero; None without one."""
    return None if grad is None else not grad.nonfinite and grad.norm > 0


def _plain(block: Iterable[Stage], leaves: Sequence[str]) -> list[Row]:
    return [
        Row(
            "" if stage.step is None else str(stage.step),
            cropped(stage.name, _NAME_CELLS),
            _states(stage, leaves),
            cropped(tensor(stage.dtype, stage.shape), _NAME_CELLS),
            cropped(_grad_fn(stage, leaves), _NAME_CELLS),
            "" if stage.grad is None else f"{stage.grad.norm:.2e}",
        )
        for stage in block
    ]


def _grad_fn(stage: Stage, leaves: Sequence[str]) -> str:
    if stage.grad_fn is not None:
        return stage.grad_fn
    if not stage.requires_grad:
        return "no grad"
    return "leaf" if stage.name in leaves else "?"


def _folded(blocks: Sequence[Sequence[Stage]], leaves: Sequence[str]) -> Row:
    stages = [stage for block in blocks for stage in block]
    columns = [_states(stage, leaves) for stage in stages]
    states = tuple(_common(column) for column in zip(*columns, strict=True))
    norms = [s.grad.norm for s in stages if s.grad is not None]
    sick = any(_sound(stage.grad) is False for stage in stages)
    healthy = not sick and all(state == LIVE for state in states)
    word = "healthy" if healthy else "alike"
    return Row(
        f"{blocks[0][0].step}-{blocks[-1][0].step}",
        f"{len(blocks)} steps, {word}",
        states,
        norm=_span(norms),
        fold=True,
    )


def _common(states: Iterable[str]) -> str:
    seen = set(states)
    return seen.pop() if len(seen) == 1 else MIXED


def _span(norms: Sequence[float]) -> str:
    finite = [norm for norm in norms if math.isfinite(norm)]
    if not finite:
        return "nan" if norms else ""
    low, high = f"{min(finite):.0e}", f"{max(finite):.0e}"
    return low if low == high else f"{low}..{high}"
