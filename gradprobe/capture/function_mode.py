"""The function mode: sees every torch call of Python code, and appends one row for it.

This is the hot path. It keeps no tensor, formats nothing and looks up the call site as two
integers; everything else waits for `build`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gradprobe.capture.grad_mode import GradMode
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.memory import Memory
from gradprobe.capture.op_table import FIRST_ONLY, classify
from gradprobe.capture.torch_internals import node_counter
from gradprobe.records.backward import RaisedOp
from gradprobe.records.op import GRAD_OFF, INFERENCE, INSIDE_FUNCTION, Kind
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    HOST,
    LEAF,
    RANDOM,
    REQUIRES_GRAD,
)

_MANY = (list, tuple)
_MAY_RETURN_ITS_ARGUMENT = frozenset({Kind.VIEW, Kind.CAST, Kind.SHAPE_ONLY, Kind.HOST})
_STACKS = 4096  # whole stacks are taken at so many possible cuts at most


class Learned:
    """What is known of one function: resolved once, read at each of its calls."""

    __slots__ = ("attribute", "first_only", "kind", "number")

    def __init__(self, number: int, kind: Kind, attribute: str) -> None:
        self.number = number
        self.kind = kind
        self.attribute = attribute
        self.first_only = attribute in FIRST_ONLY


class SeeingMode(TorchFunctionMode):
    """Records ops into a journal while it is on torch's stack of function modes."""

    def __init__(
        self, journal: Journal, grad_mode: GradMode, leaves: LeafWatch, memory: Memory
    ) -> None:
        super().__init__()
        self.journal = journal
        self.grad_mode = grad_mode
        self.leaves = leaves
        self.memory = memory
        self.known: dict[Any, Learned] = {}
        self.inside = 0  # depth of custom autograd.Function forwards
        self.pauses = 0  # depth of backward passes: their ops are not the program's dataflow
        self.stacks: dict[int, Where] = {}
        self.draws: list[int] = []  # ops that drew random numbers, up to the same bound
        self.raised: list[RaisedOp] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        learned = self.known.get(func)
        if learned is None:
            learned = self.learn(func)
        kind = learned.kind
        if kind is Kind.QUIET or self.pauses:
            return func(*args, **kwargs) if kwargs else func(*args)
        if kind is Kind.LEAF:
            return self.leaf_call(func, learned, args, kwargs)
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except RuntimeError as error:
            self.failed(learned, args, kwargs, error, sys._getframe(1))
            raise
        self.record(learned, args, kwargs, result, sys._getframe(1))
        return result

    def learn(self, func: Any) -> Learned:
        callee, attribute = classify(func)
        learned = Learned(self.journal.callee(callee), callee.kind, attribute)
        self.known[func] = learned
        return learned

    def record(
        self,
        learned: Learned,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        result: Any,
        frame: Any,
    ) -> None:
        journal = self.journal
        table = journal.identity.table
        kind = learned.kind
        place = journal.stack.place(frame)

        inputs: list[int] = []
        for argument in args:
            ref = table.get(id(argument))
            if ref is not None:
                inputs.append(ref.value)
            elif isinstance(argument, Tensor):
                position = next(i for i, a in enumerate(args) if a is argument)
                inputs.append(self.memory.meet(argument, place, position).value)
            elif type(argument) in _MANY:
                self.collect(argument, inputs, place)
            elif self.memory.numbers and type(argument) is float:
                self.memory.number_used(argument, inputs, place)
        if kwargs:
            self.collect(kwargs.values(), inputs, place)
        if kind is not Kind.COMPUTE and inputs:
            inputs = self.carriers(learned, inputs, args)

        flags = 0
        known_flags = journal.flags
        for value in inputs:
            flags |= known_flags[value]

        outputs: list[int] = []
        if kind is Kind.EXIT:
            if inputs and (flags & DERIVED or self.memory.follow_all):
                self.memory.left(len(journal.head), learned.attribute, inputs, args, result)
        elif type(result) is Tensor or isinstance(result, Tensor):
            self.produced(kind, result, flags, inputs, outputs)
        elif isinstance(result, _MANY):
            for item in result:
                if isinstance(item, Tensor):
                    self.produced(kind, item, flags, inputs, outputs)
        elif kind is Kind.WRITE and args and isinstance(args[0], Tensor):
            self.produced(kind, args[0], flags, inputs, outputs)  # `x[i] = y` returns nothing
        if not outputs and kind is not Kind.EXIT:
            return

        circumstances = region = 0
        if not torch.is_grad_enabled():
            circumstances = GRAD_OFF
            region = self.grad_mode.region
            if torch.is_inference_mode_enabled():
                circumstances |= INFERENCE
        if self.inside:
            circumstances |= INSIDE_FUNCTION
        index = journal.row(
            learned.number, circumstances, region, place, node_counter(), inputs, outputs
        )
        if outputs and len(self.stacks) < _STACKS:
            if kind is Kind.RANDOM:
                self.draws.append(index)
                self.stacks[index] = journal.stack.stack(frame)
            elif flags & CONNECTED and not known_flags[outputs[0]] & REQUIRES_GRAD:
                self.stacks[index] = journal.stack.stack(frame)
        if kind in (Kind.WRITE, Kind.OVERWRITE, Kind.RANDOM, Kind.DETACH, Kind.VIEW, Kind.CAST):
            self.share(kind, args, result, index)
        elif kind is Kind.HOST and args and not inputs:
            self.memory.made_from_host(outputs[0], args[0], place)

    def collect(self, items: Any, inputs: list[int], place: int) -> None:
        """The values of the tensors in (nested) containers."""
        table = self.journal.identity.table
        for item in items:
            ref = table.get(id(item))
            if ref is not None:
                inputs.append(ref.value)
            elif isinstance(item, Tensor):
                inputs.append(self.memory.meet(item, place).value)
            elif isinstance(item, _MANY):
                self.collect(item, inputs, place)
            elif isinstance(item, dict):
                self.collect(item.values(), inputs, place)
            elif self.memory.numbers and type(item) is float:
                self.memory.number_used(item, inputs, place)

    def carriers(self, learned: Learned, inputs: list[int], args: tuple[Any, ...]) -> list[int]:
        """Those inputs whose values reach the result."""
        kind = learned.kind
        if kind is Kind.SHAPE_ONLY or kind is Kind.RANDOM:
            return []
        if learned.first_only:
            return inputs[:1]
        if kind is Kind.OVERWRITE and args and isinstance(args[0], Tensor):
            return inputs[1:]
        return inputs

    def produced(
        self, kind: Kind, tensor: Tensor, flags: int, inputs: list[int], outputs: list[int]
    ) -> None:
        """Number the value of one result."""
        journal = self.journal
        ref = journal.identity.table.get(id(tensor))
        if ref is not None and kind in _MAY_RETURN_ITS_ARGUMENT:
            return  # the very tensor that came in: `x.to(x.dtype)`, `x.contiguous()`
        if tensor.requires_grad:
            made = (flags & (DERIVED | CONNECTED)) | REQUIRES_GRAD
            if not flags & CONNECTED and tensor.is_leaf:
                made |= LEAF | DERIVED | CONNECTED
        else:
            made = flags & DERIVED
        if kind is Kind.RANDOM:
            made |= RANDOM
        elif kind is Kind.HOST:
            made |= HOST
        value = journal.new_value(tensor, made)
        outputs.append(value)
        if ref is not None:
            before, ref.value = ref.value, value
            if made & LEAF:
                self.leaves.written(before, value)
        else:
            journal.identity.add(tensor, value)
            if made & LEAF:
                self.leaves.made(tensor, value, "requires_grad", sys._getframe(3))

    def share(self, kind: Kind, args: tuple[Any, ...], result: Any, index: int) -> None:
        """Keep shared memory in mind: new views, and writes that other tensors see."""
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if first is None:
            return
        if kind is Kind.VIEW or kind is Kind.CAST or kind is Kind.DETACH:
            self.memory.viewed(first, result)
        if kind in (Kind.WRITE, Kind.OVERWRITE, Kind.RANDOM):
            self.memory.wrote(first, index)

    def failed(
        self, learned: Learned, args: Any, kwargs: Any, error: RuntimeError, frame: Any
    ) -> None:
        place = self.journal.stack.place(frame)
        inputs: list[int] = []
        self.collect(args, inputs, place)
        if kwargs:
            self.collect(kwargs.values(), inputs, place)
        callee = self.journal.callees[learned.number].name
        at = len(self.journal.head)
        where = self.journal.stack.stack(frame)
        self.raised.append(RaisedOp(callee, at, place, tuple(inputs), str(error), where))

    def leaf_call(
        self, func: Callable[..., Any], learned: Learned, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """`requires_grad_()`, `x.requires_grad = True`, and reads of `.grad`."""
        result = func(*args, **kwargs) if kwargs else func(*args)
        tensor = args[0]
        frame = sys._getframe(2)
        if learned.attribute == "grad.__get__":
            if result is None and not tensor.is_leaf and not tensor.retains_grad:
                place = self.journal.stack.place(frame)
                self.leaves.grad_read(self.memory.meet(tensor, place).value, place)
            return result
        self.leaves.switched(tensor, learned.attribute == "requires_grad_", frame)
        return result
