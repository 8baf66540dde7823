"""A number for what a tensor holds, to tell whether a write changed it."""

from __future__ import annotations

import ctypes
import zlib
from typing import Any

from torch import Tensor

from gradprobe.capture.torch_internals import aside, has_numbers

_MOST_BYTES = 1 << 26  # of one tensor
_MOST_COPIED = 1 << 22  # of one with gaps between its elements
_BUDGET = 1 << 32  # of all in one run: some two seconds


class Contents:
    """Sums up memory on the CPU, where it lies if there are no gaps.

    A checksum of 32 bits: that a write changes something and leaves it as it was is out of the
    question in practice.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _BUDGET

    def of(self, tensor: Tensor) -> int | None:
        """The checksum of a tensor's elements in the order of memory.

        None where there is no such memory, or it would take too long.
        """
        with aside():
            if not has_numbers(tensor) or tensor.device.type != "cpu" or not tensor.numel():
                return None
            size = tensor.numel() * tensor.element_size()
            if tensor.is_contiguous():
                return self.at(tensor.data_ptr(), size)
            strides = tensor.stride()
            order = sorted(range(tensor.dim()), key=strides.__getitem__, reverse=True)
            whole = tensor.detach().permute(order)
            if not whole.is_contiguous():
                if size > _MOST_COPIED:
                    return None
                whole = whole.contiguous()
            return self.at(whole.data_ptr(), size)

    def at(self, start: int, size: int) -> int | None:
        """The checksum of live memory."""
        if size > _MOST_BYTES or size > self.left:
            return None
        self.left -= size
        return zlib.crc32((ctypes.c_char * size).from_address(start))


def fingerprint(data: list[Any]) -> tuple[Any, ...]:
    """The length and the two ends of a nested list."""
    first: Any = data
    last: Any = data
    while isinstance(first, list) and first:
        first = first[0]
    while isinstance(last, list) and last:
        last = last[-1]
    return len(data), repr(first), repr(last)
