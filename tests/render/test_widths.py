"""The width of an arrow is the norm of the gradient that runs back along it, by decades."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.render.widths import Widths


def chain(*norms: float | None, state: State = "live") -> Picture:
    boxes = tuple(
        Box(str(i), "stage", "x", "", state, norm=norm) for i, norm in enumerate((*norms, None))
    )
    arrows = tuple(Arrow(a.key, b.key, state) for a, b in pairwise(boxes))
    return Picture(boxes, arrows)


def widths(picture: Picture) -> list[float]:
    by = Widths.of(picture)
    return [by.along(arrow) for arrow in picture.arrows]


def test_each_decade_takes_as_much() -> None:
    first, second, third = widths(chain(1.0, 0.1, 0.01))
    assert first > second > third
    assert first - second == pytest.approx(second - third)


def test_the_smallest_can_still_be_seen() -> None:
    assert min(widths(chain(1e30, 1e-30))) >= 0.8


@pytest.mark.parametrize(
    "picture", [chain(None, None), chain(1.0, 2.0), chain(5.0, float("nan")), chain(0.0, 3.0)]
)
def test_what_is_alike_or_not_known_says_nothing(picture: Picture) -> None:
    assert not Widths.of(picture).tell
    assert len(set(widths(picture))) == 1


@pytest.mark.parametrize("state", ["zero", "nonfinite", "lost", "unknown", "cut"])
def test_only_what_carries_gradient_has_a_width_of_its_own(state: State) -> None:
    assert len(set(widths(chain(100.0, 1.0, state=state)))) == 1
