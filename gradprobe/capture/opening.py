"""A long loop is watched from outside its network, and looked into when something new happens.

Ops inside modules cost time to record, and most iterations of an optimisation say the same. So the
modules are closed (`closed_modules`) until an iteration differs from all before it; the one that is
recorded next is seen whole, whatever it may show by then.
"""

from __future__ import annotations

from collections import deque

from gradprobe.capture.module_watch import ModuleWatch

_MOST = 8  # iterations that are looked into
_SETTLED = 4  # iterations that show nothing new, before values are left out


class Opening:
    """Told of each iteration that is over, it opens the modules for the one after the next.

    An iteration is judged when the one behind it has ended, for a graph may go on. So the next one
    to be recorded is two behind it, and breaks that last a single iteration are not looked into.
    """

    def __init__(self, modules: ModuleWatch) -> None:
        self.modules = modules
        self.closed = modules.closed
        self.looked_into = 0
        self._first = True
        # Whether the iteration that is judged next was looked into, and the one behind it: that it
        # then shows more than closed ones is nothing new.
        self._open = deque((False, False))
        self._alike = 0  # iterations in a row that showed nothing new

    def turned(self, new: bool) -> None:
        """An iteration is over; `new` says that it showed what no earlier one had shown."""
        looked_into = self._open.popleft()
        if self.closed is not None and self.closed.module is not None:
            self._open.append(self.modules.closed is None)
            return  # backward ran inside of a closed call, which has to be opened by its own end
        self._alike = 0 if new else self._alike + 1
        self.modules.settled = self._alike >= _SETTLED
        opens = new and not (self._first or looked_into) and self.modules.closed is not None
        self._first = False
        if opens and self.looked_into < _MOST:
            self.looked_into += 1
            self.modules.closed = None
        else:
            self.modules.closed = self.closed
        self._open.append(self.modules.closed is None)
