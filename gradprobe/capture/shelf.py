"""Memory for copies of a pass's gradients, which later passes use again.

A gradient that is held keeps its memory from the program, whose next turn is laid out around it: of
what it allocates less fits where the turn before had it, and new pages cost more than the copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradprobe.capture.torch_internals import copy_all

_ALIGNED = 64  # bytes, as torch's own allocator does


class Shelf:
    """Holds the copies of one pass at a time."""

    __slots__ = ("_like", "_places")

    def __init__(self) -> None:
        self._like: list[tuple[torch.Size, torch.dtype]] = []
        self._places: list[Tensor] = []

    def put(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Copies of dense CPU tensors, good until the next call; for who is `aside`."""
        like = [(t.shape, t.dtype) for t in tensors]
        if like != self._like:
            self._places = _places(tensors)
            self._like = like
        copy_all(self._places, [t.detach() if t.requires_grad else t for t in tensors])
        return self._places


def _places(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Room for the elements of each, in one piece of memory."""
    ends = []
    size = 0
    for tensor in tensors:
        size += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        ends.append(size)
    memory = torch.empty(size, dtype=torch.uint8, device="cpu")
    starts = [0, *ends[:-1]]
    return [
        memory[start : start + t.nbytes].view(t.dtype).view(t.shape)
        for start, t in zip(starts, tensors, strict=True)
    ]
