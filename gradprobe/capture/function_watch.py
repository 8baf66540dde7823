"""Custom autograd.Functions and nn.Parameter: calls that no function mode sees."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.shift import Shift, without
from gradprobe.capture.torch_internals import (
    BackwardHookFunction,
    NoSubclasses,
    node_counter,
)
from gradprobe.records.op import GRAD_OFF, INSIDE_FUNCTION, Callee, Kind
from gradprobe.records.tensor import CONNECTED, DERIVED, LEAF, PARAMETER, REQUIRES_GRAD

_PARAMETER = Callee("torch.nn.Parameter", Kind.PARAMETER)
PASSED_ON = Callee("BackwardHookFunction.apply", Kind.VIEW)


@dataclass(slots=True)
class WatchedFunction:
    """One application of a custom Function while it is written."""

    op: int
    inner_from: int
    name: str
    explicit: tuple[int, ...]
    code: Any
    reentrant_checkpoint: bool
    none_for: set[int] = field(default_factory=set)


class FunctionWatch:
    """Each application is one op from its tensor arguments to its results."""

    def __init__(self, mode: SeeingMode, say: Callable[[str], None]) -> None:
        self.mode = mode
        self.say = say
        self.calls: list[WatchedFunction] = []
        self.handles: list[tuple[int, Any]] = []
        self.thread = threading.get_ident()

    def wrap_apply(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread:
                self.say("a custom autograd.Function ran in another thread: it was not seen")
                return original(cls, *args, **kwargs)
            mode = self.mode
            if mode.pauses:
                return original(cls, *args, **kwargs)
            frame = sys._getframe(1)
            place = mode.journal.stack.place(frame)
            inner_from = len(mode.journal.head)
            with NoSubclasses():
                tensors = [a for a in args if isinstance(a, Tensor)]
                explicit = [mode.memory.meet(tensor, place).value for tensor in tensors]
            mode.inside += 1
            try:
                result = original(cls, *args, **kwargs)
            finally:
                mode.inside -= 1
            try:
                with NoSubclasses():
                    if cls is BackwardHookFunction:
                        self.passed_on(args, result, place)
                    else:
                        self.applied(cls, explicit, inner_from, result, place)
            except Exception as fault:  # never the program's to bear
                self.say(f"{cls.__name__}.apply was not recorded: {fault!r}")
            return result

        return apply

    def applied(
        self, cls: Any, explicit: list[int], inner_from: int, result: Any, place: int
    ) -> None:
        journal = self.mode.journal
        flags = 0
        for value in explicit:
            flags |= journal.flags[value]
        inputs, outputs, nodes = list(explicit), [], []
        for tensor in result if isinstance(result, tuple) else (result,):
            if not isinstance(tensor, Tensor):
                continue
            ref = journal.identity.table.get(id(tensor))
            made = flags & DERIVED
            if ref is not None:
                inputs.append(ref.value)  # what the ops inside made of it
                made |= journal.flags[ref.value] & DERIVED
            if tensor.requires_grad:
                made |= REQUIRES_GRAD | (flags & CONNECTED)
                nodes.append(tensor.grad_fn)
            value = journal.new_value(tensor, made)
            outputs.append(value)
            if ref is not None:
                ref.value = value
            else:
                journal.identity.add(tensor, value)
        if not outputs:
            return
        callee = journal.callee(Callee(f"{cls.__name__}.apply", Kind.FUNCTION))
        circumstances = 0 if torch.is_grad_enabled() else GRAD_OFF
        region = self.mode.grad_mode.region if circumstances else 0
        if self.mode.inside:
            circumstances |= INSIDE_FUNCTION
        row = journal.row(callee, circumstances, region, place, node_counter(), inputs, outputs)
        call = WatchedFunction(
            op=row,
            inner_from=inner_from,
            name=cls.__name__,
            explicit=tuple(explicit),
            code=getattr(cls.backward, "__code__", None),
            reentrant_checkpoint=cls.__module__ == "torch.utils.checkpoint",
        )
        self.calls.append(call)
        if nodes and flags & CONNECTED:
            self.watch_backward(nodes[0], call)

    def passed_on(self, args: Any, result: Any, place: int) -> None:
        """What torch puts around a module with backward hooks: each argument is handed through."""
        given = [a for a in args if isinstance(a, Tensor)]
        for argument, tensor in zip(given, result, strict=True):
            self.hand_on(PASSED_ON, argument, tensor, place)

    def hand_on(self, callee: Callee, argument: Tensor, tensor: Tensor, place: int) -> None:
        """`tensor` holds the values of `argument`, with a node of its own."""
        journal = self.mode.journal
        value = self.mode.memory.meet(argument, place).value
        made = journal.flags[value] & DERIVED
        if tensor.requires_grad:
            made |= REQUIRES_GRAD | (journal.flags[value] & CONNECTED)
        after = journal.new_value(tensor, made)
        ref = journal.identity.table.get(id(tensor))
        if ref is None:
            journal.identity.add(tensor, after)
        else:
            ref.value = after
        journal.row(journal.callee(callee), 0, 0, place, node_counter(), [value], [after])
        self.mode.memory.viewed(argument, tensor)

    def watch_backward(self, node: Any, call: WatchedFunction) -> None:
        """Learn for which wanted argument the backward gives None."""
        wanted = [edge[0] is not None for edge in node.next_functions]

        def answered(grad_inputs: Any, grad_outputs: Any) -> None:
            answers = list(zip(call.explicit, wanted, grad_inputs, strict=False))
            given = {value for value, _, grad in answers if grad is not None}
            refused = {value for value, asked, grad in answers if asked and grad is None}
            call.none_for |= refused - given  # one tensor may be two of the arguments

        self.handles.append((call.op, node.register_hook(answered)))

    def wrap_parameter(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(cls, *args, **kwargs)
            if threading.get_ident() == self.thread and not self.mode.pauses:
                data = args[0] if args else kwargs.get("data")
                self.parameter(result, data, sys._getframe(1))
            return result

        return __new__

    def parameter(self, tensor: Any, data: Any, frame: Any) -> None:
        """nn.Parameter(x): x's values as a new leaf."""
        journal = self.mode.journal
        if not isinstance(tensor, Tensor) or id(tensor) in journal.identity.table:
            return
        place = journal.stack.place(frame)
        inputs = []
        flags = PARAMETER
        if isinstance(data, Tensor):
            inputs = [self.mode.memory.meet(data, place).value]
            flags |= journal.flags[inputs[0]] & DERIVED
        if tensor.requires_grad:
            flags |= REQUIRES_GRAD | LEAF | DERIVED | CONNECTED
        value = journal.new_value(tensor, flags)
        journal.identity.add(tensor, value)
        journal.row(journal.callee(_PARAMETER), 0, 0, place, node_counter(), inputs, [value])
        if isinstance(data, Tensor):
            self.mode.memory.viewed(data, tensor)
        if tensor.requires_grad:
            self.mode.leaves.made(tensor, value, "parameter", frame)

    def forget(self, shift: Shift) -> None:
        self.handles[:] = without(self.handles, shift)
        self.calls[:] = [call for call in self.calls if not shift.gone(call.op)]
        for call in self.calls:
            if call.op >= shift.first.op:
                call.op = shift.op(call.op)
                call.inner_from = shift.op(call.inner_from)
                call.explicit = shift.values(call.explicit)
                call.none_for = {shift.value(value) for value in call.none_for}

    def remove(self) -> None:
        for _, handle in self.handles:
            handle.remove()
        self.handles.clear()
