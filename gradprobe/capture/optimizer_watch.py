"""Optimisers: what they hold, when they step, and when gradients are cleared or used by hand."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor
from torch.nn import Parameter
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.patches import Patches
from gradprobe.capture.shift import Point, Shift
from gradprobe.capture.torch_internals import aside
from gradprobe.capture.watched_pass import WatchedPass
from gradprobe.records.optimizer import Use

_MOST = 64  # leaves of one optimiser that are followed


@dataclass(slots=True)
class WatchedOptimizer:
    """One optimiser while the program runs. The tensor behind a key lives as long as it does."""

    name: str
    place: int
    at_op: int
    held: dict[int, int] = field(default_factory=dict)  # first value, by id()
    count: int = 0


@dataclass(slots=True)
class WatchedUse:
    """See `records.optimizer.GradUse`."""

    what: Use
    optimizer: int
    at_op: int
    after: int
    place: int
    values: tuple[int, ...]
    bare: tuple[int, ...] = ()
    any: bool = False
    grad: int = -1
    until_op: int = -1
    until_after: int = 0


class OptimizerWatch:
    """Records in one list what happens to gradients between one backward and the next."""

    def __init__(
        self,
        mode: SeeingMode,
        leaves: LeafWatch,
        passes: list[WatchedPass],
        say: Callable[[str], None],
    ) -> None:
        self.mode = mode
        self.leaves = leaves
        self.passes = passes
        self.say = say
        self.optimizers: list[WatchedOptimizer] = []
        self.uses: list[WatchedUse] = []
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._open: list[WatchedUse] = []  # steps that run now, or that raised
        self._handles: list[Any] = []
        self.thread = threading.get_ident()

    def install(self, patches: Patches) -> None:
        patches.method(Optimizer, "__init__", self._wrap_init)
        patches.method(Optimizer, "zero_grad", self._wrap_zero_grad)
        self._handles = [
            register_optimizer_step_pre_hook(self._stepping),
            register_optimizer_step_post_hook(self._stepped),
        ]
        self.mode.on_gradient = self.by_hand

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.mode.on_gradient = None

    def forget(self, shift: Shift) -> None:
        """What was done from one backward to the next is forgotten with the ops between them."""
        self.uses[:] = [use for use in self.uses if not _within(use, shift.first, shift.last)]
        for use in self.uses:
            if use.at_op >= shift.first.op:
                use.at_op, use.until_op = shift.op(use.at_op), shift.op(use.until_op)
                use.values, use.bare = shift.values(use.values), shift.values(use.bare)
                use.grad = shift.value(use.grad) if use.grad >= 0 else -1
        for watched in self.optimizers:
            watched.at_op = shift.op(watched.at_op)
            watched.held = {key: shift.value(value) for key, value in watched.held.items()}

    def shown(self, first: Point, last: Point) -> Iterator[int]:
        """What tells one iteration from another: what was done with gradients, in order."""
        found = []
        for use in reversed(self.uses):
            if use.at_op < first.op:
                break
            if _within(use, first, last):
                found.append((use.what, use.optimizer, use.place, len(use.bare), use.any))
        yield hash(tuple(found))

    def _wrap_init(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def __init__(optimizer: Any, *args: Any, **kwargs: Any) -> None:
            original(optimizer, *args, **kwargs)
            with self._safely("an optimizer") as seen:
                if seen:
                    self._made(optimizer, _maker(optimizer, sys._getframe(1)))

        return __init__

    def _wrap_zero_grad(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def zero_grad(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            mode = self.mode
            clearing, mode.clearing = mode.clearing, True
            try:
                result = original(optimizer, *args, **kwargs)
            finally:
                mode.clearing = clearing
            with self._safely("zero_grad") as seen:
                if seen:
                    number = self._number(optimizer)
                    values = tuple(value for value, _ in self._held(optimizer, number))
                    self._note("cleared", sys._getframe(1), values, number)
            return result

        return zero_grad

    def _stepping(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        with self._safely("an optimizer's step") as seen:
            if seen:
                self._open.append(self._step(optimizer, sys._getframe(1)))

    def _step(self, optimizer: Any, frame: FrameType) -> WatchedUse:
        number = self._number(optimizer)
        values: list[int] = []
        bare: list[int] = []
        for value, tensor in self._held(optimizer, number):
            values.append(value)
            if tensor.grad is None:
                bare.append(value)
        step = self._note("step", frame, tuple(values), number)
        step.bare = tuple(bare)
        # Of a model with many tensors the first tells.
        step.any = any(tensor.grad is not None for tensor in _tensors(optimizer))
        return step

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        number = self._numbers.get(optimizer)
        places = [n for n, step in enumerate(self._open) if step.optimizer == number]
        if places and threading.get_ident() == self.thread:
            self._open[places[-1]].until_op, self._open[places[-1]].until_after = self._now()
            del self._open[places[-1] :]

    def by_hand(self, access: str, tensor: Tensor, given: Any, frame: FrameType) -> None:
        """`.grad` was read (`given`: what it is), set or deleted in Python code."""
        ref = self.mode.table.get(id(tensor))
        leaf = None if ref is None else self.leaves.by_value.get(ref.value)
        if ref is None or leaf is None or leaf.in_module or not self._is_mine():
            return
        what: Use = "cleared"
        grad = -1
        if access == "grad.__get__":
            # torch's own code reads gradients to clip or to apply them.
            if given is None or not self.mode.journal.stack.is_near(frame, 0):
                return
            what = "read"
        elif given is not None:
            what = "assigned"
        if given is not None:
            place = self.mode.journal.stack.place(frame)
            grad = self.mode.memory.meet(given, place).value
        self._note(what, frame, (ref.value,)).grad = grad

    def _note(
        self, what: Use, frame: FrameType, values: tuple[int, ...], optimizer: int = -1
    ) -> WatchedUse:
        op, after = self._now()
        place = self.mode.journal.stack.place(frame)
        use = WatchedUse(what, optimizer, op, after, place, values, until_op=op, until_after=after)
        self.uses.append(use)
        return use

    def _now(self) -> tuple[int, int]:
        """How many ops were seen, and how many passes began since the last of them."""
        op = len(self.mode.journal.head)
        after = 0
        for passed in reversed(self.passes):
            if passed.at_op != op:
                break
            after += 1
        return op, after

    def _number(self, optimizer: Any) -> int:
        number = self._numbers.get(optimizer)
        return self._enter(optimizer, 0, -1) if number is None else number

    def _made(self, optimizer: Any, frame: FrameType | None) -> None:
        if optimizer in self._numbers:
            return
        journal = self.mode.journal
        number = self._enter(optimizer, journal.stack.place(frame), len(journal.head))
        for _ in self._held(optimizer, number):
            pass

    def _enter(self, optimizer: Any, place: int, at_op: int) -> int:
        number = self._numbers[optimizer] = len(self.optimizers)
        self.optimizers.append(WatchedOptimizer(type(optimizer).__name__, place, at_op))
        return number

    def _held(self, optimizer: Any, number: int) -> Iterator[tuple[int, Tensor]]:
        """The tensors that are no module's, as far as they are known, with their values now."""
        table, by_value = self.mode.table, self.leaves.by_value
        watched = self.optimizers[number]
        watched.count = found = 0
        for tensor in _tensors(optimizer):
            watched.count += 1
            ref = table.get(id(tensor))
            if ref is None or found == _MOST:
                continue
            leaf = by_value.get(ref.value)
            if isinstance(tensor, Parameter) if leaf is None else leaf.in_module:
                continue
            found += 1
            watched.held.setdefault(id(tensor), ref.value)
            yield ref.value, tensor

    def _is_mine(self) -> bool:
        mine = threading.get_ident() == self.thread
        if not mine:
            self.say("gradients were used in another thread: it was not seen how")
        return mine

    def _safely(self, what: str) -> _Safely:
        return _Safely(self, what)


class _Safely:
    """A fault of ours may cost the diagnosis, never the program; nor does anyone see us look."""

    __slots__ = ("_aside", "_watch", "_what")

    def __init__(self, watch: OptimizerWatch, what: str) -> None:
        self._watch = watch
        self._what = what
        self._aside = aside()

    def __enter__(self) -> bool:
        self._aside.__enter__()
        return self._watch._is_mine()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self._aside.__exit__(None, None, None)
        if isinstance(error, Exception):
            self._watch.say(f"{self._what} was not recorded: {error!r}")
            return True
        return False


def _tensors(optimizer: Any) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _maker(optimizer: Any, frame: FrameType | None) -> FrameType | None:
    """The frame that calls for the optimiser, not those of its own and its bases' `__init__`."""
    while frame is not None and frame.f_code.co_name == "__init__":
        first = frame.f_code.co_varnames[:1]
        if not first or frame.f_locals.get(first[0]) is not optimizer:
            break
        frame = frame.f_back
    return frame


def _within(use: WatchedUse, first: Point, last: Point) -> bool:
    """Whether it was done after the pass that ended at `first`, and before that at `last` began."""
    begun = use.at_op > first.op or (use.at_op == first.op and use.after > 0)
    over = use.at_op > last.op or (use.at_op == last.op and use.after > 0)
    return begun and not over
