"""A module call taken as one op: while it runs, the function mode is off torch's stack.

Most ops of a sampler are those inside its network. Where only the sampler's own are asked for, the
network's then cost nothing.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.one_op import as_one_op
from gradprobe.capture.torch_internals import off_stack, on_stack


class ClosedModules:
    """At most one module call is closed at a time, from `close` to the `left` that answers True."""

    def __init__(self, mode: SeeingMode) -> None:
        self.mode = mode
        self.module: Module | None = None
        self._again = 0  # calls of that module inside itself
        self._off = False

    def close(self, module: Module) -> None:
        """Record nothing until this call of `module` is over."""
        self.module = module
        self.mode.pauses += 1
        # A mode that the program put on top of ours has to stay where it is.
        self._off = off_stack(self.mode)

    def entered(self, module: Module) -> None:
        """A call inside the closed one begins."""
        self._again += module is self.module

    def left(self, module: Module) -> bool:
        """Whether the call that is over is the closed one; if so, all is recorded again."""
        if module is not self.module:
            return False
        if self._again:
            self._again -= 1
            return False
        self.open()
        return True

    def open(self) -> None:
        """Record again; harmless where nothing is closed."""
        if self.module is not None:
            self.module = None
            self._again = 0
            self.mode.pauses -= 1
            if self._off:
                on_stack(self.mode)

    def recorded(
        self, name: str, place: int, inputs: list[int], outputs: list[Tensor]
    ) -> tuple[int, ...]:
        """The call as one op from its tensor arguments to its results; returns their values."""
        return as_one_op(self.mode, name, place, inputs, outputs)
