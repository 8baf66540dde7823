"""The stages of two runs in rows: those at which they part in full, the others put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gradprobe.records.comparison import StagePair
from gradprobe.records.report import GradStats
from gradprobe.render.plain import visible

_AROUND = 1  # stages that agree, drawn on either side of one that does not


@dataclass(frozen=True, slots=True)
class Row:
    """One stage with its state in words for either side, or (`pair` None) several put together."""

    pair: StagePair | None
    told: str
    states: tuple[str, str] = ("", "")


def rows(stages: Sequence[StagePair], most: int) -> list[Row]:
    """The first and the last stage, those at which the runs part, and their neighbours.

    Of more than `most` the first and the last ones are shown.
    """
    parted = [n for n, pair in enumerate(stages) if _parts(pair)]
    near = {n + by for n in parted for by in range(-_AROUND, _AROUND + 1)}
    shown = {n for n in near if 0 <= n < len(stages)} | {0, len(stages) - 1}
    if len(shown) > most:
        kept = sorted(shown)
        shown = {*kept[: most // 2], *kept[-most // 2 :]}
    found: list[Row] = []
    for drawn, group in groupby(range(len(stages)), lambda n: n in shown):
        numbers = list(group)
        if drawn or len(numbers) == 1:
            found += [row(stages[n]) for n in numbers]
            continue
        apart = sum(_parts(stages[n]) for n in numbers)
        alike = f"{apart} of them part" if apart else "alike"
        found.append(Row(None, f"{len(numbers)} stages, {alike}"))
    return found


def row(pair: StagePair) -> Row:
    """The row of one stage."""
    return Row(pair, visible(pair.name), (_state(pair, 0), _state(pair, 1)))


def _parts(pair: StagePair) -> bool:
    return bool(pair.parts) or not all(pair.there)


def where(stage: str | None, step: int | None, call: int | None) -> str:
    """`denoised_output, step 3, call 1`."""
    parts = [visible(stage) if stage is not None else "the line below"]
    if step is not None:
        parts.append(f"step {step}")
    if call:
        parts.append(f"call {call}")
    return ", ".join(parts)


def _state(pair: StagePair, side: int) -> str:
    if not pair.there[side]:
        return "not there"
    if pair.connected[side] == "no":
        return "lost"
    grad = pair.grads[side]
    if grad is not None:
        return _sort(grad)
    return {"yes": "live", "unknown": "unknown", None: "-"}[pair.connected[side]]


def _sort(grad: GradStats) -> str:
    if grad.nonfinite:
        return "nan/inf"
    return "zero" if grad.abs_max == 0 else norm(grad.norm)


def norm(known: float | None) -> str:
    """A norm as the tables have it; empty where it is not known."""
    return "" if known is None else f"{known:.2e}"


def ratio(known: float | None) -> str:
    """A ratio, `1` where it is one in all digits that are shown."""
    return "" if known is None else "1" if abs(known - 1) < 5e-4 else f"{known:.3g}"
