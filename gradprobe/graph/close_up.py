"""A stretch of a run drawn closely: every op, or what each function of the network did."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from gradprobe.graph.view import View

T = TypeVar("T")

_OPS = 180  # so many are drawn, around the first finding
_RUNS = 120


def window(view: View, centre: int | None) -> Sequence[int]:
    """The ops around `centre` on the way from leaf to root; the last ones where there is none."""
    return _around(view.flow.ops, view.flow.ops.index(centre) if centre is not None else None, _OPS)


def runs_of(view: View, centre: int | None, drawn: Collection[int]) -> dict[int, int]:
    """For ops around `centre`, the number of the run that each belongs to.

    A run is of ops that follow each other, in one function, with none between that is `drawn` by
    itself.
    """
    runs: list[list[int]] = []
    last: object = None
    place: int | None = None
    for op in view.flow.ops:
        at = view.place_of(op)
        of = None if op in drawn or at is None else (at.file, at.function)
        if of is not None:
            if of != last:
                runs.append([])
            runs[-1].append(op)
        last = of
        if op == centre:
            place = len(runs)
    return {op: run for run, ops in enumerate(_around(runs, place, _RUNS)) for op in ops}


def _around(items: Sequence[T], centre: int | None, most: int) -> Sequence[T]:
    """`most` neighbours, the centre in the middle where there are enough on both sides."""
    centre = len(items) if centre is None else centre
    first = max(0, min(centre - most // 2, len(items) - most))
    return items[first : first + most]
