"""A small tensor copied, for its numbers to be computed later.

Whatever runs between two calls of a network finds the caches full of the network's data, and takes
several times as long as among its like. A copy is one op there; the numbers come in a row later.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Compute = Callable[[Tensor], tuple[float, ...]]

_ELEMENTS = 1 << 15  # of a tensor at most
_BYTES = 4 << 20  # of all copies that wait at a time


class Copied:
    """What is computed of a tensor, from a copy that is dropped then."""

    __slots__ = ("_compute", "_copy", "_numbers")

    def __init__(self, tensor: Tensor, compute: Compute) -> None:
        self._copy: Tensor | None = tensor.detach().clone()
        self._compute = compute
        self._numbers: tuple[float, ...] = ()

    def numbers(self) -> tuple[float, ...]:
        if self._copy is not None:
            self._numbers = self._compute(self._copy)
            self._copy = None
        return self._numbers


class Copies:
    """The copies that wait."""

    def __init__(self) -> None:
        self._waiting: list[Copied] = []
        self._left = _BYTES

    def take(self, tensor: Tensor, compute: Compute) -> Copied | tuple[float, ...]:
        """A plain tensor's numbers; at once where it is large, or where enough copies wait."""
        if tensor.numel() > _ELEMENTS:
            return compute(tensor.detach())
        size = tensor.nbytes
        if size > self._left:
            return compute(tensor.detach())
        self._left -= size
        copied = Copied(tensor, compute)
        self._waiting.append(copied)
        return copied

    def settle(self) -> None:
        """Compute all that waits."""
        for copied in self._waiting:
            copied.numbers()
        self._waiting.clear()
        self._left = _BYTES
