"""Hooks on module calls: on those of all modules, or for a time on those of one alone.

With a global hook in place torch takes each call of each layer by a way that is some microseconds
longer. So while one call is all that is asked for, the global hooks are taken out.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch.jit import ScriptModule
from torch.nn import Module
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from gradprobe.capture.torch_internals import HooksOfModule, forget_keywords


class CallHooks:
    """Has `before` and `after` called around module calls; `after` also of those that raised."""

    def __init__(self, before: Callable[[Module, Any], None], after: Callable[..., None]) -> None:
        self.before = before
        self.after = after
        self._handles: list[Any] = []
        self._ids = -1, -1  # of the two
        self._global = HooksOfModule(None)
        self._alone: HooksOfModule | None = None
        # Those of the module that was hooked alone last: mostly it is hooked again.
        self._last: tuple[weakref.ref[Module], HooksOfModule] | None = None

    def install(self) -> None:
        """On the calls of all modules, from the next one on."""
        self._handles = [
            register_module_forward_pre_hook(self.before),
            register_module_forward_hook(self.after, with_kwargs=True, always_call=True),
        ]
        before, after = self._handles
        self._ids = before.id, after.id

    def alone(self, module: Module) -> None:
        """On calls of `module` only; of one that has begun, when it ends.

        A compiled module takes no further hooks, and calls none of its layers in Python.
        """
        if isinstance(module, ScriptModule) or not self._handles:
            return
        before, after = self._ids
        last = self._last
        if last is None or last[0]() is not module:
            last = self._last = weakref.ref(module), HooksOfModule(module)
        self._alone = last[1]
        self._alone.put_first(before, self.before, after, self.after)
        self._global.take_before(before)
        self._global.take_after(after)

    def ended(self, raised: bool) -> None:
        """The call is over that was hooked alone; asked from its hook."""
        if self._alone is None:
            return
        before, after = self._ids
        self._global.put(before, self.before, after, self.after)
        self._alone.take_before(before)
        if not raised:  # else torch is going through the module's hooks, which may not change
            self.begun()

    def begun(self) -> None:
        """A call begins: what was left of one that raised goes."""
        if self._alone is not None:
            self._alone.take_after(self._ids[1])
            self._alone = None

    def remove(self) -> None:
        if self._alone is not None:  # an interrupt ended the program inside that call
            self._alone.take_before(self._ids[0])
            self.begun()
        for handle in self._handles:
            handle.remove()
            forget_keywords(handle)
        self._handles = []
