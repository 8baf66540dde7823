"""The function mode: sees every torch call of Python code, and appends one row for it.

This is the hot path: it keeps no tensor and formats nothing; everything else waits for `build`.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import _getframe
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from gradprobe.capture.entries import Entries
from gradprobe.capture.foreign_ops import judge, overridden, written_by
from gradprobe.capture.grad_mode import GradMode
from gradprobe.capture.identity import TensorRef
from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_calls import leaf_called
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.learned import WRITES, Learned
from gradprobe.capture.memory import Memory
from gradprobe.capture.op_table import WHOLE, classify, is_whole, mutated
from gradprobe.capture.raised_ops import note_raised
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import (
    NoSubclasses,
    has_history,
    is_grad_enabled,
    node_counter,
)
from gradprobe.records.backward import RaisedOp
from gradprobe.records.op import GRAD_OFF, INFERENCE, INSIDE_FUNCTION, Kind
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    HOST,
    LEAF,
    MET,
    RANDOM,
    REQUIRES_GRAD,
)

_MANY = (list, tuple)
_MAY_RETURN_ITS_ARGUMENT = frozenset({Kind.VIEW, Kind.CAST, Kind.SHAPE_ONLY, Kind.HOST})
_VIEWS = frozenset({Kind.VIEW, Kind.CAST, Kind.DETACH})
_LINEAGE = DERIVED | CONNECTED
_NEW_LEAF = REQUIRES_GRAD | LEAF | DERIVED | CONNECTED
_WRAPPERS = 2  # frames of torch's own between user code and an op written in Python
_STACKS = 4096  # whole stacks are taken at so many possible cuts at most


class SeeingMode(TorchFunctionMode):
    """Records ops into a journal while it is on torch's stack of function modes."""

    def __init__(
        self,
        journal: Journal,
        grad_mode: GradMode,
        leaves: LeafWatch,
        memory: Memory,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.say = say
        self.journal = journal
        self.grad_mode = grad_mode
        self.leaves = leaves
        self.memory = memory
        self.table = journal.identity.table
        self.split = journal.identity.split
        self.sites = journal.stack.sites
        self.known: dict[Any, Learned] = {}
        self.whole = Learned(journal.callee(WHOLE), WHOLE.kind, "__setitem__")
        self.inside = 0  # depth of custom autograd.Function forwards
        self.passes = 0  # how many backward passes have begun
        self.pauses = 0  # depth of backward passes: their ops are not the program's dataflow
        self.stacks: dict[int, Where] = {}
        self.draws: list[int] = []  # ops that drew random numbers, up to the same bound
        self.raised: list[RaisedOp] = []
        # Told how `.grad` was accessed: of which tensor, with what gradient.
        self.on_gradient: Callable[[str, Tensor, Any, Any], None] | None = None
        self.clearing = False  # `zero_grad` of an optimiser runs: one event for all that it does
        # Told of a tensor, the handle of a hook that the program put on it, and the frame.
        self.on_hook: Callable[[Tensor, Any, Any], None] | None = None
        self.entries = Entries(journal)
        journal.stack.on_entry = self.entries.begins

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        learned = self.known.get(func)
        if learned is None:
            learned = self.learn(func)
        if learned.quiet or self.pauses:
            try:
                return func(*args, **kwargs) if kwargs else func(*args)
            except RuntimeError as error:  # `backward()` of several elements, `deepcopy(x)`
                if not self.pauses:
                    self.failed(learned, args, kwargs, error, _getframe(1))
                raise
        if learned.apart:
            if learned.leaf:
                return self.leaf_call(func, learned, args, kwargs)
            if learned.exits:
                return self.exit_call(func, learned, args, kwargs)
            if learned.sets_items and is_whole(args[1]):
                learned = self.whole
            if args and (self.split or learned.rebinds):
                self.memory.will_write(args[0], learned.rebinds)
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except RuntimeError as error:
            self.failed(learned, args, kwargs, error, _getframe(1))
            raise
        try:
            if types:  # a tensor subclass with a `__torch_function__` of its own
                before = len(self.journal.head)
                with NoSubclasses():
                    self.record(learned, args, kwargs, result, _getframe(1))
                if learned.plain and len(self.journal.head) > before:
                    overridden(self.journal, learned, types)
            else:
                self.record(learned, args, kwargs, result, _getframe(1))
        except Exception as fault:
            # A fault of ours may cost the diagnosis, never the program.
            if any(is_lazy(argument) for argument in args):
                return result  # a parameter without a shape yet, about to be given one
            self.say(f"{self.journal.callees[learned.number].name} was not recorded: {fault!r}")
        return result

    def learn(self, func: Any) -> Learned:
        callee, attribute = classify(func)
        written = mutated(func) if callee.kind is Kind.UNSEEN else ()
        learned = Learned(self.journal.callee(callee), callee.kind, attribute, written)
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
        """Append one op. Written out rather than split: a call here costs every op of the run."""
        journal = self.journal
        table = self.table
        plain = learned.plain
        known = self.sites.get(id(frame.f_code))
        place = known.get(frame.f_lasti) if known else None
        if place is None:
            place = journal.stack.place(frame)

        inputs: list[int] = []
        flags = 0
        known_flags = journal.flags
        for argument in args:
            of_type = type(argument)
            if of_type is float or of_type is int or argument is None:
                if self.memory.numbers and of_type is float:
                    self.memory.number_used(argument, inputs, place)
                continue
            ref = table.get(id(argument))
            if ref is not None:
                inputs.append(ref.value)
            elif isinstance(argument, Tensor):
                direct = journal.stack.is_near(frame, _WRAPPERS)
                position = next(i for i, a in enumerate(args) if a is argument) if direct else None
                inputs.append(self.memory.meet(argument, place, position).value)
            elif of_type in _MANY:
                self.collect(argument, inputs, place)
            elif self.memory.exits:
                self.memory.met_number(argument, inputs, place)
        if kwargs:
            self.collect(kwargs.values(), inputs, place)
        if not plain and inputs:
            if learned.each and isinstance(result, _MANY):
                self.record_each(learned, args, result, frame)
                return
            inputs = learned.carriers(inputs, args)
        for value in inputs:
            flags |= known_flags[value]

        outputs: list[int] = []
        written: list[Tensor] | None = None
        tracked = False  # recording was on: the result says so itself
        if plain and type(result) is Tensor and id(result) not in table:
            if not result.requires_grad:
                made = flags & DERIVED
            elif (flags & CONNECTED and not learned.indexes) or not result.is_leaf:
                made = (flags & _LINEAGE) | REQUIRES_GRAD
                tracked = not learned.indexes
            else:  # a view made under no_grad says that it requires grad, and has no history
                made = flags & DERIVED if inputs else _NEW_LEAF
            value = journal.new_value(result, made)
            outputs.append(value)
            # `Identity.add`, written out
            ref = TensorRef(result, journal.identity.gone)
            ref.key = id(result)
            ref.value = value
            table[ref.key] = ref
            if made == _NEW_LEAF:
                self.leaves.made(result, value, "requires_grad", frame)
        else:
            if plain:  # `out=x`, `relu(x, inplace=True)`
                written = [t for t in _tensors(result) if id(t) in table]
                if written and kwargs and kwargs.get("out") is result:
                    inputs.remove(table[id(result)].value)  # nothing of it is left
            if learned.mutated:
                result = written_by(learned, args, kwargs, _tensors(result))
            self.results(learned, args, result, flags, inputs, outputs, frame)
        if not outputs and learned.kind is not Kind.EXIT:
            return

        circumstances = region = 0
        off = not (tracked or is_grad_enabled())
        # Within inference mode enable_grad changes nothing.
        if off or (self.grad_mode.region and not tracked):
            inference = torch.is_inference_mode_enabled()
            if off or inference:
                circumstances = GRAD_OFF | INFERENCE if inference else GRAD_OFF
                region = self.grad_mode.region
        if self.inside:
            circumstances |= INSIDE_FUNCTION
        index = journal.row(
            learned.number, circumstances, region, place, node_counter(), inputs, outputs
        )
        if (
            not tracked
            and flags & CONNECTED
            and outputs
            and not known_flags[outputs[0]] & REQUIRES_GRAD
            and len(self.stacks) < _STACKS
        ):
            self.stacks[index] = journal.stack.stack(frame)
        if not plain:
            self.share(learned, args, inputs, outputs, result, index, frame)
        elif learned.indexes:
            self.memory.viewed(args[0], result)
        if written:
            self.memory.before.clear()
            for tensor in written:
                self.memory.wrote(tensor, index)

    def record_each(self, learned: Learned, args: tuple[Any, ...], result: Any, frame: Any) -> None:
        """One op for each argument of `broadcast_tensors`: no result depends on the others."""
        given = args[0] if args and isinstance(args[0], _MANY) else args
        for argument, one in zip(given, result, strict=True):
            self.record(learned, (argument,), None, one, frame)

    def results(
        self,
        learned: Learned,
        args: tuple[Any, ...],
        result: Any,
        flags: int,
        inputs: list[int],
        outputs: list[int],
        frame: Any,
    ) -> None:
        """Number the values of whatever an op returned."""
        kind = learned.kind
        if kind is Kind.EXIT:
            if inputs and (flags & DERIVED or self.memory.follow_all):
                self.memory.left(len(self.journal.head), learned.attribute, inputs, args, result)
            return
        if result is None and kind in WRITES and args:
            result = args[0]  # `x[i] = y`, `x.data = y` and `_foreach_mul_` return nothing
        for tensor in _tensors(result):
            self.produced(kind, tensor, flags, outputs, frame)

    def collect(self, items: Any, inputs: list[int], place: int) -> None:
        """The values of the tensors in (nested) containers."""
        table = self.table
        for item in items:
            if type(item) is int or item is None:  # strides, paddings: most of what is here
                continue
            ref = table.get(id(item))
            if ref is not None:
                inputs.append(ref.value)
            elif isinstance(item, Tensor):
                inputs.append(self.memory.meet(item, place).value)
            elif isinstance(item, _MANY):
                self.collect(item, inputs, place)
            elif isinstance(item, dict):
                self.collect(item.values(), inputs, place)
            elif self.memory.exits:
                self.memory.met_number(item, inputs, place)

    def produced(
        self, kind: Kind, tensor: Tensor, flags: int, outputs: list[int], frame: Any
    ) -> None:
        """Number the value of one result."""
        journal = self.journal
        ref = journal.identity.table.get(id(tensor))
        if ref is not None and kind in _MAY_RETURN_ITS_ARGUMENT:
            return  # the very tensor that came in: `x.to(x.dtype)`, `x.contiguous()`
        if not tensor.requires_grad:
            made = flags & DERIVED
        elif has_history(tensor):
            made = (flags & _LINEAGE) | REQUIRES_GRAD
        elif ref is not None:  # written under no_grad: it stays what it was
            made = journal.flags[ref.value] & ~MET | (flags & DERIVED)
        else:
            made = flags & DERIVED if kind in _VIEWS else _NEW_LEAF
        if kind is Kind.RANDOM:
            made |= RANDOM
        elif kind is Kind.HOST:
            made |= HOST
        value = journal.new_value(tensor, made)
        outputs.append(value)
        if ref is not None:
            before, ref.value = ref.value, value
            journal.rewrote(tensor, before, value)
            if made & LEAF:
                self.leaves.written(before, value)
        else:
            journal.identity.add(tensor, value)
            if made & LEAF:
                self.leaves.made(tensor, value, "requires_grad", frame)

    def share(
        self,
        learned: Learned,
        args: tuple[Any, ...],
        inputs: list[int],
        outputs: list[int],
        result: Any,
        index: int,
        frame: Any,
    ) -> None:
        """What else an op of a special kind did: drew, made a view, wrote, brought data back."""
        kind = learned.kind
        if learned.foreign:
            judge(self.journal, learned, _tensors(result), index)
            for place, _ in learned.mutated:
                if place < len(args) and isinstance(args[place], Tensor):
                    self.memory.wrote(args[place], index)
        if kind is Kind.RANDOM and len(self.stacks) < _STACKS:
            self.draws.append(index)
            self.stacks[index] = self.journal.stack.stack(frame)
        elif kind is Kind.HOST and args and not inputs:
            self.memory.made_from_host(outputs[0], args[0], self.journal.site[index])
        if not args:
            return
        if learned.rebinds:
            self.memory.rebound(args[0], args[1], index, learned.attribute != "set_")
        elif learned.writes:
            for tensor in _tensors(args[0]):
                self.memory.wrote(tensor, index)
        elif learned.attribute == "data.__get__":
            self.memory.detached(args[0], result)
        elif kind in _VIEWS and isinstance(args[0], Tensor):
            self.memory.viewed(args[0], result)

    def failed(
        self, learned: Learned, args: Any, kwargs: Any, error: RuntimeError, frame: Any
    ) -> None:
        note_raised(self, learned.number, args, kwargs, error, frame)

    def forget(self, shift: Shift) -> None:
        self.stacks = {shift.op(n): w for n, w in self.stacks.items() if not shift.gone(n)}
        self.draws[:] = [shift.op(op) for op in self.draws if not shift.gone(op)]
        self.raised[:] = [shift.raised(op) for op in self.raised if not shift.gone(op.at_op)]
        self.entries.forget(shift)

    def leaf_call(
        self, func: Callable[..., Any], learned: Learned, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """`requires_grad_()`, `x.requires_grad = True`, hooks, `.grad`, `copy.deepcopy`."""
        try:
            result = func(*args, **kwargs) if kwargs else func(*args)
        except RuntimeError as error:
            self.failed(learned, args, kwargs, error, _getframe(2))
            raise
        if self.clearing:
            return result
        with NoSubclasses():
            # Of a setter what was set; of a hook its handle, not the hook.
            takes = len(args) > 1 and not (learned.hooks or learned.copies)
            given = args[1] if takes else result
            leaf_called(self, learned, args[0], given, _getframe(2))
        return result

    exit_call = leaf_call  # another one where what leaves torch is followed


def _tensors(thing: Any) -> list[Tensor]:
    """A tensor, or those in a list or tuple."""
    return [t for t in (thing if isinstance(thing, _MANY) else (thing,)) if isinstance(t, Tensor)]
