"""Hooks on module calls: on those of all modules, or for a time on those of one alone.

With a global hook in place torch takes each call of each layer by a way that is some microseconds
longer. So while one call is all that is asked for, the global hooks are taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.jit import ScriptModule
from torch.nn import Module
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from gradprobe.capture.torch_internals import forget_keywords

Before = Callable[[Module, Any], None]


class CallHooks:
    """Has `before` and `after` called around module calls; `after` also of those that raised."""

    def __init__(self, before: Before, after: Callable[..., None]) -> None:
        self.before = before
        self.after = after
        self._everywhere: list[Any] = []
        self._within: list[Any] = []
        self._at_end: list[Any] = []

    def everywhere(self) -> None:
        """On the calls of all modules, from the next one on."""
        if not self._everywhere:
            self._everywhere = [
                register_module_forward_pre_hook(self.before),
                register_module_forward_hook(self.after, with_kwargs=True, always_call=True),
            ]

    def alone(self, module: Module) -> None:
        """On calls of `module` only; of a call of it that has begun, when it ends.

        A compiled module takes no further hooks, and calls none of its layers in Python.
        """
        if isinstance(module, ScriptModule):
            return
        # Torch's own, whatever a subclass made of them; first, as global hooks are.
        self._within = [Module.register_forward_pre_hook(module, self.before, prepend=True)]
        self._at_end = [
            Module.register_forward_hook(
                module, self.after, prepend=True, with_kwargs=True, always_call=True
            )
        ]
        _take_out(self._everywhere)

    def ended(self, raised: bool) -> None:
        """The call is over that was hooked alone; asked from its hook."""
        self.everywhere()
        _take_out(self._within)
        if not raised:  # else torch is going through the module's hooks, which may not change
            _take_out(self._at_end)

    def begun(self) -> None:
        """A call begins: what was left of one that raised goes."""
        if self._at_end:
            _take_out(self._at_end)

    def remove(self) -> None:
        for handles in (self._everywhere, self._within, self._at_end):
            _take_out(handles)


def _take_out(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()
        forget_keywords(handle)
    handles.clear()
