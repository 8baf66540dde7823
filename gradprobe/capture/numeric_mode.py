"""The function mode that also looks at values: the range of what each op took and gave.

Dear in comparison with `SeeingMode`, which looks at none; used only where it was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.function_mode import Learned, SeeingMode
from gradprobe.capture.torch_internals import aside, has_numbers
from gradprobe.records.numerics import Extent

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

    def ranges(self) -> dict[int, Extent]:
        """All extents so far, on the host."""
        held = [(v, x) for v, x in self.extents.items() if isinstance(x, Tensor)]
        with aside():
            for (value, _), (low, high) in zip(held, _on_host([x for _, x in held]), strict=True):
                self.extents[value] = Extent(low, high)
        return {v: x for v, x in self.extents.items() if isinstance(x, Extent)}


def _extent(x: Tensor) -> Extent | Tensor | None:
    """The two ends; of what another device holds, as a tensor of two."""
    if not has_numbers(x) or not x.numel() or not x.dtype.is_floating_point:
        return None
    low, high = torch.aminmax(x.detach())
    if x.device.type == "cpu":
        return Extent(low.item(), high.item())
    return torch.stack((low, high)).to(torch.float32)


def _on_host(held: list[Tensor]) -> Iterator[tuple[float, float]]:
    """Those tensors of two, copied once a device."""
    by_device: dict[torch.device, list[int]] = {}
    for position, tensor in enumerate(held):
        by_device.setdefault(tensor.device, []).append(position)
    found = [(math.nan, math.nan)] * len(held)
    for positions in by_device.values():
        rows = torch.stack([held[p] for p in positions]).tolist()
        for position, (low, high) in zip(positions, rows, strict=True):
            found[position] = (low, high)
    yield from found


def numbers_in(frame: FrameType | None) -> dict[str, float]:
    """The plain numbers that the variables of a running function hold."""
    if frame is None:
        return {}
    found: dict[str, float] = {}
    for name, value in list(frame.f_locals.items()):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, Tensor) and value.numel() == 1 and value.device.type == "cpu":
            with aside():
                if has_numbers(value) and not value.is_complex():
                    found[name] = float(value.detach())
        if len(found) >= _MOST_NUMBERS:
            break
    return found


def _tensors(items: Any) -> Iterator[Tensor]:
    for item in items:
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (list, tuple)):
            yield from _tensors(item)
        elif isinstance(item, dict):
            yield from _tensors(item.values())
