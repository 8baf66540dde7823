"""The stages of a run as a bounded list of rows: alike steps in a row become one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from gradprobe.records.report import GradStats, Leaf, Stage
from gradprobe.render.plain import cropped, tensor
from gradprobe.render.states import APART, LIVE, LOST, States, common, worth

_FOLD_FROM = 3  # so many alike steps between two shown ones are worth one row
_NAME_CELLS = 22


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `states` has one word per leaf. `fold` rows stand for many steps."""

    step: str
    name: str
    states: tuple[str, ...]
    call: str = ""
    sigma: str = ""
    tensor: str = ""
    grad_fn: str = ""
    norm: str = ""
    fold: bool = False


def rows(
    stages: Sequence[Stage],
    leaves: Sequence[Leaf],
    most: int,
    words: States,
    *,
    brief: bool = False,
) -> list[Row]:
    """At most `most` rows (and one that counts what is missing), in the order of the stages.

    The first and last of a stretch of alike steps stand by themselves, unless it is to be `brief`;
    where all is lost, the last has nothing more to tell.
    """
    table = _Table([leaf.name for leaf in leaves], words)
    blocks = [list(group) for _, group in groupby(stages, key=lambda stage: stage.step)]
    found: list[Row] = []
    for _, alike in groupby(blocks, key=table.looks):
        run = list(alike)
        inner = run[1:-1]
        numbered = run[0][0].step is not None
        if brief and numbered and len(run) > 1:
            found.append(replace(table.folded(run), sigma=sigma_span(map(_first_sigma, run))))
        elif len(run) >= _FOLD_FROM and numbered and table.lost(run[0]):
            found += [*table.plain(run[0]), table.folded(run[1:])]
        elif len(inner) >= _FOLD_FROM and numbered:
            found += table.plain(run[0])
            found.append(table.folded(inner))
            found += table.plain(run[-1])
        else:
            found += [row for block in run for row in table.plain(block)]
    if len(found) <= most:
        return found
    left = most // 2
    hidden = Row("", f"{len(found) - most} more rows", (), fold=True)
    return [*found[:left], hidden, *found[len(found) - (most - left) :]]


@dataclass(frozen=True, slots=True)
class _Table:
    leaves: Sequence[str]
    words: States

    def looks(self, block: Iterable[Stage]) -> object:
        """What steps must have in common to be one row."""
        return [
            (
                s.step is None,
                s.name,
                s.call,
                self.states(s),
                s.shape,
                s.dtype,
                s.grad_fn,
                _sound(s.grad),
            )
            for s in block
        ]

    def states(self, stage: Stage) -> tuple[str, ...]:
        """By leaf the word for a stage; its gradient is the root's, whatever leaf it goes to."""
        return tuple(worth(self.words.of(stage, leaf), stage.grad) for leaf in self.leaves)

    def lost(self, block: Iterable[Stage]) -> bool:
        """Whether no leaf's gradient comes from anything in a step."""
        return all(set(self.states(stage)) <= {LOST, APART} for stage in block)

    def plain(self, block: Iterable[Stage]) -> list[Row]:
        return [
            Row(
                _number(stage.step),
                cropped(stage.name, _NAME_CELLS),
                self.states(stage),
                _number(stage.call),
                sigma_span([stage.sigma]),
                cropped(tensor(stage.dtype, stage.shape), _NAME_CELLS),
                cropped(self._grad_fn(stage), _NAME_CELLS),
                "" if stage.grad is None else f"{stage.grad.norm:.2e}",
            )
            for stage in block
        ]

    def _grad_fn(self, stage: Stage) -> str:
        if stage.grad_fn is not None:
            return stage.grad_fn
        if not stage.requires_grad:
            return "no grad"
        return "leaf" if stage.is_leaf or stage.name in self.leaves else "?"

    def folded(self, blocks: Sequence[Sequence[Stage]]) -> Row:
        stages = [stage for block in blocks for stage in block]
        columns = [self.states(stage) for stage in stages]
        states = tuple(common(column) for column in zip(*columns, strict=True))
        norms = [s.grad.norm for s in stages if s.grad is not None]
        sick = any(_sound(stage.grad) is False for stage in stages)
        healthy = not sick and all(state in (LIVE, APART) for state in states)
        return Row(
            f"{blocks[0][0].step}-{blocks[-1][0].step}",
            f"{len(blocks)} steps, {'healthy' if healthy else 'alike'}",
            states,
            norm=_span(norms),
            fold=True,
        )


def _sound(grad: GradStats | None) -> bool | None:
    """Whether a gradient is finite and not all zero; None without one."""
    return None if grad is None else not grad.nonfinite and grad.norm > 0


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _sigma(sigma: float, digits: int = 3) -> str:
    """A noise level as short as may be, a timestep in full."""
    return f"{sigma:.0f}" if 1000 <= abs(sigma) < 1e6 else f"{sigma:.{digits}g}"


def _first_sigma(block: Iterable[Stage]) -> float | None:
    """The noise level that a step begins with: what it ends with is the next one's."""
    return next((stage.sigma for stage in block if stage.sigma is not None), None)


def _rough(norm: float) -> str:
    """`2e-5`: one digit, and no zero that the exponent does not need."""
    digits, _, exponent = f"{norm:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"


def sigma_span(sigmas: Iterable[float | None]) -> str:
    """The sigmas of some steps: that of the first, and that of the last."""
    known = [sigma for sigma in sigmas if sigma is not None]
    if len(known) < 2 or known[0] == known[-1]:
        return _sigma(known[0]) if known else ""
    ends = (_sigma(sigma, 3 if abs(sigma) >= 1 else 2) for sigma in (known[0], known[-1]))
    return "..".join(ends)


def _span(norms: Sequence[float]) -> str:
    finite = [norm for norm in norms if math.isfinite(norm)]
    if not finite:
        return "nan" if norms else ""
    low, high = _rough(min(finite)), _rough(max(finite))
    return low if low == high else f"{low}..{high}"
