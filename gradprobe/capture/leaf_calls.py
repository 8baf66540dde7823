"""Calls that are handled apart: they say of a tensor that it is a leaf, or read what a leaf has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from gradprobe.capture.foreign_ops import copied
from gradprobe.capture.learned import Learned

if TYPE_CHECKING:
    from gradprobe.capture.function_mode import SeeingMode


def leaf_called(mode: SeeingMode, learned: Learned, tensor: Tensor, given: Any, frame: Any) -> None:
    """`given` is what a call returned, of a setter what was set."""
    if learned.accesses_grad:
        if isinstance(given, Tensor):
            mode.memory.strangers.clear_of_doubt(given)
        if given is None and not tensor.is_leaf and not tensor.retains_grad:
            if learned.attribute == "grad.__get__":
                place = mode.journal.stack.place(frame)
                mode.leaves.grad_read(mode.memory.meet(tensor, place).value, place)
        elif mode.on_gradient is not None:
            mode.on_gradient(learned.attribute, tensor, given, frame)
        return
    if learned.copies:
        if isinstance(given, Tensor) and not given.requires_grad:
            copied(mode.memory, tensor, given, mode.journal.stack.place(frame))
        return
    if learned.hooks:
        if mode.on_hook is not None:
            mode.on_hook(tensor, given, frame)
        return
    mode.leaves.switched(tensor, learned.attribute == "requires_grad_", frame)
