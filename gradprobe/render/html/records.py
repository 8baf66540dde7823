"""The hook records as the page's table takes them: rows of plain values, strings there once."""

from __future__ import annotations

import math
from typing import Any

from gradprobe.records.picture import State
from gradprobe.records.report import Report, Stage
from gradprobe.render.html.frames import Frames
from gradprobe.render.html.markup import words
from gradprobe.render.plain import tensor
from gradprobe.render.states import APART, LIVE, LOST, MISSED, NONFINITE, ZERO, States, worth

_MOST = 20_000
_LEAVES = 3
_STATE: dict[str, State] = {
    LIVE: "live",
    LOST: "lost",
    MISSED: "cut",
    ZERO: "zero",
    NONFINITE: "nonfinite",
    APART: "lost",
}


class Strings:
    """Numbers strings, for rows that repeat them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def told(self) -> list[str]:
        return list(self._numbers)


def records(report: Report, frames: Frames) -> dict[str, Any]:
    """Columns by name, and a row for each record in order, as far as a page can hold them."""
    strings, states = Strings(), States.told_by(report)
    leaves = [leaf.name for leaf in report.leaves[:_LEAVES]]
    rows = [
        [
            stage.step,
            stage.call,
            _number(stage.sigma),
            strings.number(words(stage.name, 200)),
            [_state(states, stage, leaf, strings) for leaf in leaves],
            strings.number(words(tensor(stage.dtype, stage.shape), 80)),
            strings.number(words(_grad_fn(stage), 80)),
            _number(stage.grad.norm if stage.grad else None),
            _number(stage.grad.zero_fraction if stage.grad else None),
            _number(stage.value.mean if stage.value else None),
            _number(stage.value.std if stage.value else None),
            _number(stage.value.abs_max if stage.value else None),
            strings.number(stage.source),
            frames.number(stage.at),
        ]
        for stage in report.stages[:_MOST]
    ]
    return {
        "leaves": [words(name, 40) for name in leaves],
        "rows": rows,
        "strings": strings.told(),
        "left_out": max(len(report.stages) - _MOST, 0),
    }


def _state(states: States, stage: Stage, leaf: str, strings: Strings) -> list[Any]:
    word = worth(states.of(stage, leaf), stage.grad)
    state = _STATE.get(word, "unknown" if word == "unknown" else "partial")
    return [state, strings.number("apart" if word == APART else word)]


def _grad_fn(stage: Stage) -> str:
    if stage.grad_fn is not None:
        return stage.grad_fn
    return (
        "leaf" if stage.requires_grad and stage.is_leaf else "" if stage.requires_grad else "none"
    )


def _number(number: float | None) -> float | str | None:
    """Six digits, which no reader misses; JSON has no NaN and no infinity."""
    if number is None:
        return None
    return float(f"{number:.6g}") if math.isfinite(number) else repr(number)
