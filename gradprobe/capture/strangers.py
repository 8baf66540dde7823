"""Tensors that came into being while a leaf was there, and that no op was seen to make.

Code that no function mode sees makes such tensors: another thread, an extension, the inside of a
wrapper. One with a history tells by it what it was made from. One without may have been made from
the leaf, and nobody can say.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from torch import Tensor
from torch.nn import Parameter

from gradprobe.capture.journal import Journal
from gradprobe.capture.shift import Shift

_NOT_ASKED = (Parameter,)  # they are known as what they are wherever they are met


class Strangers:
    """Which tensors may be the work of unseen code, and where they were first used."""

    __slots__ = ("_elders", "_leaves", "_looked", "_unseen_code", "found", "journal")

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.found: dict[int, int] = {}  # by value, the place of its first use
        self._elders: dict[int, weakref.ref[Tensor]] = {}
        self._leaves = 0  # 1: there is one, 2: one that is no parameter and so no module's
        self._unseen_code = False
        self._looked = 0  # at how many leaves of these two it was looked

    def leaf_made(self, is_parameter: bool) -> None:
        """A leaf came into being: what is alive now was not made from it."""
        self._leaves = max(self._leaves, 1 if is_parameter else 2)
        if self._looked < self._leaves and self._unseen_code:
            self._look()

    def unseen_code(self) -> None:
        """From now on code may run that no mode sees: what is alive now, it has not made."""
        if not self._unseen_code:
            self._unseen_code = True
            if self._leaves:
                self._look()

    def _look(self) -> None:
        """Takes tens of milliseconds: so at most twice a run, and in most runs never."""
        self._looked = self._leaves
        kinds = [Tensor, *_kinds(Tensor)]
        for thing in gc.get_referrers(*kinds):
            # `type` and not `isinstance`: that would ask proxies what they stand for.
            if issubclass(type(thing), Tensor) and type(thing) not in _NOT_ASKED:
                self.clear_of_doubt(thing)

    def clear_of_doubt(self, tensor: Tensor) -> None:
        """A tensor whose origin is known though no op made it, such as a gradient."""
        key = id(tensor)

        def gone(ref: Any, elders: dict[int, Any] = self._elders) -> None:
            if elders.get(key) is ref:
                del elders[key]

        self._elders[key] = weakref.ref(tensor, gone)

    def met(self, tensor: Tensor, value: int, place: int) -> None:
        """A tensor without a history, not seen before, is an op's argument."""
        if not self._unseen_code and type(tensor) is not Tensor:
            self.unseen_code()  # what stands in for tensors may run anything
        elder = self._elders.get(id(tensor))
        if self._looked and (elder is None or elder() is not tensor):
            self.found[value] = place

    def forget(self, shift: Shift) -> None:
        self.found = {shift.value(v): place for v, place in self.found.items()}


def _kinds(kind: type) -> list[type]:
    """All subclasses of a class, but for those that are not asked for."""
    found: list[type] = []
    below: type
    for below in type.__subclasses__(kind):
        if below not in _NOT_ASKED:
            found += [below, *_kinds(below)]
    return found
