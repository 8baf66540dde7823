"""What remains of backward passes whose iteration is forgotten: some 60 bytes a leaf."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import GradStats

_NUMBERS = 6  # of a gradient


@dataclass(frozen=True, slots=True)
class Seen:
    """One such pass, its place as a number. `reached` has a leaf's value, or its twin's, as key."""

    index: int
    how: Literal["backward", "grad"]
    place: int
    reached: Mapping[int, GradStats | None]
    raised: str | None


# All but the numbers, which passes of a loop have in common: how, place, each leaf's value with
# whether gradient reached it, what was raised.
_Kind = tuple[Literal["backward", "grad"], int, tuple[tuple[int, bool], ...], str | None]


class Past:
    """The passes in order, in columns."""

    def __init__(self) -> None:
        self._kinds: dict[_Kind, int] = {}
        self._kind = array("i")
        self._index = array("i")
        self._numbers = array("d")

    def __len__(self) -> int:
        return len(self._index)

    def add(self, passed: Seen) -> None:
        reached = tuple((value, grad is not None) for value, grad in passed.reached.items())
        kind = (passed.how, passed.place, reached, passed.raised)
        self._kind.append(self._kinds.setdefault(kind, len(self._kinds)))
        self._index.append(passed.index)
        for grad in passed.reached.values():
            if grad is not None:
                self._numbers.extend(
                    (
                        grad.norm,
                        grad.abs_mean,
                        grad.abs_max,
                        grad.abs_min,
                        grad.zero_fraction,
                        grad.nonfinite,
                    )
                )

    def __iter__(self) -> Iterator[Seen]:
        kinds = list(self._kinds)
        at = 0
        for index, number in zip(self._index, self._kind, strict=True):
            how, place, leaves, raised = kinds[number]
            reached: dict[int, GradStats | None] = {}
            for value, has_gradient in leaves:
                reached[value] = None
                if has_gradient:
                    norm, mean, most, least, zeros, bad = self._numbers[at : at + _NUMBERS]
                    reached[value] = GradStats(norm, mean, most, least, zeros, int(bad))
                    at += _NUMBERS
            yield Seen(index, how, place, reached, raised)

    def nbytes(self) -> int:
        return sum(len(c) * c.itemsize for c in (self._kind, self._index, self._numbers))
