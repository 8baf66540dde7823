"""Which stage of one run is which of the other.

By name, step and call, in order: steps that one run has more, and stages that only one has, stay
alone. Files and line numbers may differ: the runs may be of two versions of a program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from gradprobe.records.comparison import Kind, StagePair
from gradprobe.records.report import GradStats, Report, Stage, ValueStats

_Key = tuple[str, int | None, int | None]


def aligned(good: Report, bad: Report, leaf: str | None, tolerance: float) -> tuple[StagePair, ...]:
    """The stages of both runs as pairs, in the order of either."""
    pairs = _pairs(good.stages, bad.stages)
    return tuple(_pair(one, other, leaf, tolerance) for one, other in pairs)


def _key(stage: Stage) -> _Key:
    return stage.name, stage.step, stage.call


def _pairs(
    good: Sequence[Stage], bad: Sequence[Stage]
) -> Iterator[tuple[Stage | None, Stage | None]]:
    matcher = SequenceMatcher(None, [*map(_key, good)], [*map(_key, bad)], autojunk=False)
    for what, start, end, first, last in matcher.get_opcodes():
        if what == "equal":
            yield from zip(good[start:end], bad[first:last], strict=True)
        else:
            yield from ((stage, None) for stage in good[start:end])
            yield from ((None, stage) for stage in bad[first:last])


def _pair(good: Stage | None, bad: Stage | None, leaf: str | None, tolerance: float) -> StagePair:
    stage = bad if bad is not None else good
    assert stage is not None
    answers = tuple(
        None if s is None or leaf is None else s.connected.get(leaf) for s in (good, bad)
    )
    grads = (None if good is None else good.grad, None if bad is None else bad.grad)
    parts: tuple[Kind, ...] = ()
    if good is not None and bad is not None:
        parts = tuple(_parts(good, bad, leaf, tolerance))
    return StagePair(
        stage.name,
        stage.step,
        stage.call,
        (None if good is None else good.at, None if bad is None else bad.at),
        (good is not None, bad is not None),
        (answers[0], answers[1]),
        grads,
        _ratio(*grads),
        parts,
    )


def _parts(good: Stage, bad: Stage, leaf: str | None, tolerance: float) -> Iterator[Kind]:
    """How two records of one stage differ; the worst first."""
    if leaf is not None:
        one, other = good.connected.get(leaf), bad.connected.get(leaf)
        if one != other and "no" in (one, other):
            yield "connected"
    if good.grad is not None and bad.grad is not None:
        if bool(good.grad.nonfinite) != bool(bad.grad.nonfinite):
            yield "nonfinite"
        elif (good.grad.abs_max == 0) != (bad.grad.abs_max == 0):
            yield "zero"
        elif not _near(good.grad.norm, bad.grad.norm, tolerance):
            yield "norm"
    if (
        good.value is not None
        and bad.value is not None
        and _apart(good.value, bad.value, tolerance)
    ):
        yield "value"


def _apart(good: ValueStats, bad: ValueStats, tolerance: float) -> bool:
    if bool(good.nonfinite) != bool(bad.nonfinite):
        return True
    # A mean may be near zero by chance: it is held against the spread.
    size = max(good.std, bad.std, good.abs_max, bad.abs_max)
    differs = good.mean != bad.mean and abs(good.mean - bad.mean) > tolerance * size
    return differs or not _near(good.std, bad.std, tolerance)


def _near(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=tolerance)


def _ratio(good: GradStats | None, bad: GradStats | None) -> float | None:
    if good is None or bad is None:
        return None
    if not (math.isfinite(good.norm) and math.isfinite(bad.norm) and good.norm and bad.norm):
        return None
    return bad.norm / good.norm
