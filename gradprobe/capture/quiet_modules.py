"""While a module runs in which nothing is watched, no call of a function is looked at.

The inside of a network is where nearly all calls of Python functions are, and a tracing function is
asked at each of them. What a module runs is learned from its first whole call; a selector that the
user declared and whose function was never called may mean code in any of them.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn import Module

from gradprobe.capture.locals_tap import LocalsTap

_UNKNOWN, _SUSPENDED = -1, -2  # in place of a count: nothing is learned; this call suspended
_NOTHING = (_UNKNOWN, 0)


class QuietModules:
    """Follows the module calls of one thread, each from `entered` to `left`.

    Those who tell of them see to it that they are of that thread.
    """

    def __init__(self, tap: LocalsTap) -> None:
        self.tap = tap
        self._thread = threading.get_ident()
        # Of each open call: `met` and `joined` before it. No list, as in `ModuleWatch`.
        self._open: deque[tuple[int, int]] = deque()
        self._inside = False  # a module that suspended the watch runs
        self._quiet: dict[int, tuple[weakref.ref[Module], int]] = {}

    @contextmanager
    def backward(self) -> Iterator[None]:
        """Around a backward pass: what runs in it gives no stages."""
        suspended = not self._inside and self._is_mine() and self.tap.suspend()
        self._inside = self._inside or suspended
        try:
            yield
        finally:
            if suspended:
                self._inside = False
                self.tap.resume()

    def entered(self, module: Module) -> None:
        """A call of `module` begins."""
        tap = self.tap
        if self._inside or not tap.watching:
            self._open.append(_NOTHING)
        elif self._is_quiet(module) and tap.suspend():
            self._inside = True
            self._open.append((_SUSPENDED, tap.joined))
        else:
            self._open.append((tap.met, tap.joined))

    def left(self, module: Module, raised: bool) -> None:
        """The innermost open call is over."""
        if not self._open:
            return
        tap = self.tap
        met, joined = self._open.pop()
        if met == _SUSPENDED:
            self._inside = False
            tap.resume()
        elif met == tap.met and joined == tap.joined and not raised and not self._inside:
            number = id(module)
            self._quiet[number] = (weakref.ref(module), joined)

    def _is_mine(self) -> bool:
        return threading.get_ident() == self._thread

    def _is_quiet(self, module: Module) -> bool:
        known = self._quiet.get(id(module))
        return (
            known is not None
            and known[0]() is module
            and known[1] == self.tap.joined
            and not self.tap.search.unmet
        )
