"""Memory for copies of a pass's gradients, which later passes use again.

What is allocated while a graph is freed, and outlives it, lies in the way of what the program's
next turn allocates: less of that fits where the turn before had it, and new pages cost more than
copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from gradprobe.capture.torch_internals import aside

_ALIGNED = 64  # bytes, as by torch's own allocator

# Of each copy its shape and its element type.
Layout = Sequence[tuple[tuple[int, ...], torch.dtype]]


class Shelf:
    """Holds copies of one pass at a time, in one piece of memory; each has its place by number."""

    __slots__ = ("_places", "layout")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        sizes = [prod(shape) * dtype.itemsize for shape, dtype in layout]
        room = [-(-size // _ALIGNED) * _ALIGNED for size in sizes]
        starts = accumulate(room, initial=0)
        with aside():
            memory = torch.empty(sum(room), dtype=torch.uint8, device="cpu")
            self._places = [
                memory[start : start + size].view(dtype).view(shape)
                for start, size, (shape, dtype) in zip(starts, sizes, layout, strict=False)
            ]

    def copy(self, number: int, tensor: Tensor) -> Tensor | None:
        """A copy, good until the next of its number; None of what is no plain tensor on the CPU."""
        place: Tensor = self._places[number]
        if (
            type(tensor) is not Tensor
            or not tensor.is_cpu
            or tensor.layout is not torch.strided
            or tensor.dtype is not place.dtype
        ):
            return None
        with aside():
            place.copy_(tensor.detach() if tensor.requires_grad else tensor)
        return place
