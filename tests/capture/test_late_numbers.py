"""Numbers that are computed later are those that would have been computed at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradprobe.capture import copied
from gradprobe.capture.copied import Copied, Copies
from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.capture.late_numbers import LateNumbers
from gradprobe.capture.value_stats import as_value_stats, values_of

SHAPES = [(1,), (3, 5), (1, 4, 64, 64), (40_000,)]


def drawn(shape: tuple[int, ...]) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    x.view(-1)[::7] = 0
    return x


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_they_are_the_same_numbers(shape: tuple[int, ...]) -> None:
    x, late = drawn(shape), LateNumbers()
    grad, values = late.gradient(x), late.values(x)
    at_once = statistics(x), values_of(x)
    x.fill_(7.0)  # what was asked for is what it was then
    late.settle()
    assert as_stats(grad) == as_stats(at_once[0])
    assert values is not None
    assert at_once[1] is not None
    assert as_value_stats(values, {}) == as_value_stats(at_once[1], {})


def test_of_the_same_gradient_they_are_asked_once_until_it_is_written() -> None:
    x, late = drawn((4,)), LateNumbers()
    first = late.gradient(x)
    assert late.gradient(x) is first
    x.mul_(2.0)
    assert as_stats(late.gradient(x)).norm == pytest.approx(2 * as_stats(first).norm)


def test_no_more_is_copied_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied, "_BYTES", 100)
    copies = Copies()

    def most(x: Tensor) -> tuple[float, ...]:
        return (x.max().item(),)

    taken = [copies.take(drawn((10,)), most) for _ in range(4)]  # of 40 bytes
    assert [isinstance(one, Copied) for one in taken] == [True, True, False, False]
    copies.settle()
    assert isinstance(copies.take(drawn((10,)), most), Copied)
    assert len({one.numbers() if isinstance(one, Copied) else one for one in taken}) == 1
