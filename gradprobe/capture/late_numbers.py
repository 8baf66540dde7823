"""Numbers of gradients and values while the program runs: for most the caller need not wait."""

from __future__ import annotations

import weakref

from torch import Tensor

from gradprobe.capture.copied import Copies
from gradprobe.capture.gradient_stats import Awaited, is_one_piece, numbers_at_once, statistics
from gradprobe.capture.torch_internals import aside, version
from gradprobe.capture.value_stats import Values, is_exact_piece, values_at_once, values_of


class LateNumbers:
    """Copies what is small, and computes the numbers of all copies together; see `copied`."""

    def __init__(self) -> None:
        self.copies = Copies()
        self._last: tuple[weakref.ref[Tensor], int, Awaited] | None = None

    def gradient(self, grad: Tensor) -> Awaited:
        """What `statistics` gives; the same answer while the same gradient is there as it was.

        Two hooks on one node are given the same gradient, one after the other. A write through
        `.data` between them goes unseen.
        """
        now = version(grad)
        if self._last is not None:
            ref, then, numbers = self._last
            if then == now and ref() is grad:
                return numbers
        with aside():
            if is_one_piece(grad):
                numbers = self.copies.take(grad, numbers_at_once)
            else:
                numbers = statistics(grad)
        if now is not None:
            self._last = weakref.ref(grad), now, numbers
        return numbers

    def values(self, x: Tensor) -> Values | None:
        """What `values_of` gives."""
        with aside():
            return self.copies.take(x, values_at_once) if is_exact_piece(x) else values_of(x)

    def settle(self) -> None:
        """Compute what waits: when a backward begins, and when it is over."""
        with aside():
            self.copies.settle()
