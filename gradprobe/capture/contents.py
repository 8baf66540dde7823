"""A number for what a tensor's memory holds, to tell whether a write changed it."""

from __future__ import annotations

import ctypes
import zlib

from torch import Tensor

from gradprobe.capture.torch_internals import aside, has_numbers

_MOST_BYTES = 1 << 26  # of one tensor
_BUDGET = 1 << 32  # of all in one run: some two seconds


class Contents:
    """Sums up memory on the CPU where it lies: nothing is copied and no op of torch computes.

    A checksum of 32 bits: that a write changes something and leaves it as it was is out of the
    question in practice.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _BUDGET

    def of(self, start: int, size: int) -> int | None:
        """The checksum of live memory; None where that would take too long."""
        if size > _MOST_BYTES or size > self.left:
            return None
        self.left -= size
        return zlib.crc32((ctypes.c_char * size).from_address(start))


def extent(tensor: Tensor) -> tuple[int, int] | None:
    """The address of a tensor's first byte, and the bytes to its last; None if there is none.

    Of a view with gaps the gaps lie between: a write to the view leaves them alone.
    """
    with aside():
        if not has_numbers(tensor) or tensor.device.type != "cpu" or not tensor.numel():
            return None
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        elements = 1 + sum((size - 1) * stride for size, stride in steps)
        return tensor.data_ptr(), elements * tensor.element_size()
