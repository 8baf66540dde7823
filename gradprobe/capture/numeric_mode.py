"""The function mode that also looks at values: the range of what each op took and gave.

Dear in comparison with `SeeingMode`, which looks at none; used only where it was asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.learned import Learned
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import aside, has_numbers
from gradprobe.capture.value_stats import on_host
from gradprobe.records.numerics import Extent

_OURS = 3  # references to the copy of a frame's variables: the frame's, and two of ours
_MOST_NUMBERS = 64  # variables of a function that are noted at a zero factor


class NumericMode(SeeingMode):
    """Records ops and, for each value that an op took or gave, its extent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.extents: dict[int, Extent | Tensor] = {}
        self.factors: dict[int, dict[str, float]] = {}

    def record(
        self,
        learned: Learned,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        result: Any,
        frame: Any,
    ) -> None:
        before = len(self.journal.head)
        taken = [t for t in _tensors((args, kwargs)) if self._unmeasured(t)]
        with aside():
            for tensor in taken:
                self._measure(tensor)
        super().record(learned, args, kwargs, result, frame)
        rows = range(before, len(self.journal.head))
        own = [row for row in rows if self.journal.head[row] & 0xFFFF == learned.number]
        if not own:
            return
        with aside():
            for tensor in _tensors((result,)):
                self._measure(tensor)
        if any(type(a) in (int, float) and a == 0 for a in (*args, *(kwargs or {}).values())):
            self.factors[own[-1]] = numbers_in(frame)

    def _unmeasured(self, tensor: Tensor) -> bool:
        ref = self.table.get(id(tensor))
        return ref is None or ref.value not in self.extents

    def _measure(self, tensor: Tensor) -> None:
        ref = self.table.get(id(tensor))
        if ref is None or ref.value in self.extents:
            return
        found = _extent(tensor)
        if found is not None:
            self.extents[ref.value] = found

    def forget(self, shift: Shift) -> None:
        super().forget(shift)
        self.extents = {shift.value(v): x for v, x in self.extents.items() if not shift.made(v)}
        self.factors = {shift.op(n): x for n, x in self.factors.items() if not shift.gone(n)}

    def ranges(self) -> dict[int, Extent]:
        """All extents so far, on the host."""
        held = {v: x for v, x in self.extents.items() if isinstance(x, Tensor)}
        arrived = on_host(held.values())
        for value, ends in held.items():
            low, high = arrived[id(ends)]
            self.extents[value] = Extent(low, high)
        return {v: x for v, x in self.extents.items() if isinstance(x, Extent)}


def _extent(x: Tensor) -> Extent | Tensor | None:
    """The two ends; of what another device holds, as a tensor of two."""
    if not has_numbers(x) or not x.numel() or not x.dtype.is_floating_point:
        return None
    low, high = torch.aminmax(x.detach())
    if torch_internals.at_hand(x):
        return Extent(low.item(), high.item())
    return torch.stack((low, high))


def numbers_in(frame: FrameType | None) -> dict[str, float]:
    """The plain numbers that the variables of a running function hold."""
    if frame is None:
        return {}
    names = frame.f_locals
    found = dict(_numbers(names.items()))
    # Before Python 3.13 this made a copy that lives as long as the frame, and would keep alive what
    # the function drops. A copy that nobody else holds is made anew when it is asked for.
    copied = isinstance(names, dict) and frame.f_code.co_flags & CO_OPTIMIZED
    if copied and sys.getrefcount(names) <= _OURS:
        names.clear()
    return found


def _numbers(items: Iterable[tuple[str, object]]) -> Iterator[tuple[str, float]]:
    kept = 0
    for name, value in items:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)
        elif isinstance(value, Tensor) and value.numel() == 1 and torch_internals.at_hand(value):
            with aside():
                if has_numbers(value) and not value.is_complex():
                    yield name, float(value.detach())
        else:
            continue
        kept += 1
        if kept >= _MOST_NUMBERS:
            return


def _tensors(items: Any) -> Iterator[Tensor]:
    for item in items:
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (list, tuple)):
            yield from _tensors(item)
        elif isinstance(item, dict):
            yield from _tensors(item.values())
