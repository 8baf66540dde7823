"""What a torch.optim optimizer refuses to take: no function mode sees that it raises."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.memory import Memory
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import NoSubclasses, is_leaf
from gradprobe.records.backward import RaisedOp


class OptimizerRefusals:
    """Notes the tensor that is no leaf, where an optimizer raised because of one."""

    def __init__(self, mode: SeeingMode, memory: Memory) -> None:
        self.mode = mode
        self.memory = memory
        self.thread = threading.get_ident()

    def install(self, patches: Patches) -> None:
        patches.method(torch.optim.Optimizer, "add_param_group", self._wrap)

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def add_param_group(optimizer: Any, param_group: Any) -> Any:
            try:
                return original(optimizer, param_group)
            except ValueError as error:
                if not self.mode.pauses and threading.get_ident() == self.thread:
                    self._refused(optimizer, param_group, error, sys._getframe(1))
                raise

        return add_param_group

    def _refused(self, optimizer: Any, group: Any, error: ValueError, frame: Any) -> None:
        given = group.get("params") if isinstance(group, dict) else None
        journal = self.mode.journal
        with NoSubclasses():
            place = journal.stack.place(frame)
            tensors = [t for t in given or () if isinstance(t, Tensor) and is_leaf(t) is False]
            values = tuple(self.memory.meet(t, place).value for t in tensors)
        self.mode.raised.append(
            RaisedOp(
                callee=f"torch.optim.{type(optimizer).__name__}",
                at_op=len(journal.head),
                site=place,
                inputs=values,
                message=str(error),
                where=journal.stack.stack(frame),
                passes=self.mode.passes,
            )
        )
