"""Stretches in which the program's own hooks decide what is kept for backward.

A checkpoint keeps nothing and computes it again; others keep copies elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch.autograd.graph import saved_tensors_hooks

from gradprobe.capture.journal import Journal
from gradprobe.capture.patches import Patches
from gradprobe.capture.shift import Shift


class SavedHooks:
    """Notes where `saved_tensors_hooks` of the program are on; installs none."""

    __slots__ = ("_journal", "_open", "_thread", "stretches")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._open: list[int] = []
        self._thread = threading.get_ident()
        self.stretches: list[tuple[int, int]] = []

    def install(self, patches: Patches) -> None:
        patches.method(saved_tensors_hooks, "__enter__", self._entering)
        patches.method(saved_tensors_hooks, "__exit__", self._exiting)

    def forget(self, shift: Shift) -> None:
        kept = (one for one in self.stretches if not shift.gone(one[0]))
        self.stretches[:] = [(shift.op(first), shift.op(end)) for first, end in kept]
        self._open[:] = map(shift.op, self._open)

    def _entering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __enter__(context: Any) -> Any:
            result = original(context)
            if threading.get_ident() == self._thread:
                self._open.append(len(self._journal.head))
            return result

        return __enter__

    def _exiting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __exit__(context: Any, *exception: Any) -> Any:
            if self._open and threading.get_ident() == self._thread:
                first, end = self._open.pop(), len(self._journal.head)
                if not self._open and end > first:
                    self.stretches.append((first, end))
            return original(context, *exception)

        return __exit__
