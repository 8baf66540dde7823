"""Calls of modules, by torch's own global hooks: among them are the denoiser's."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import get_ident
from types import FrameType
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.nn.modules.module import register_module_parameter_registration_hook

from gradprobe.capture.backward_hooks import watch
from gradprobe.capture.call_hooks import CallHooks
from gradprobe.capture.closed_modules import ClosedModules
from gradprobe.capture.entries import name_at
from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.gradient_stats import Awaited, as_stats
from gradprobe.capture.late_numbers import LateNumbers
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.quiet_modules import QuietModules
from gradprobe.capture.shift import Shift, without
from gradprobe.capture.torch_internals import aside, device_of, history, in_transform
from gradprobe.capture.value_stats import Number, Values, as_number, first_of
from gradprobe.records.report import GradStats
from gradprobe.records.sampling import Where
from gradprobe.records.tensor import CONNECTED, DERIVED

# A sampler that is itself a module, a wrapper, the denoiser: calls below these are layers.
_DEEPEST = 2
_MOST = 20_000


@dataclass(slots=True)
class WatchedCall:
    """One module call while it is written."""

    module: int
    name: str
    depth: int
    from_op: int
    where: Where
    place: int
    to_op: int = -1
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    grad_fn: str | None = None
    measured: Awaited | None = None
    measured_in: int = -1  # after how many passes had begun
    hooked: bool = False  # on its node
    sigma: Number | None = None
    values: Values | None = None
    device: str | None = None
    closed: bool = False

    def stats(self, arrived: Mapping[int, list[float]]) -> GradStats | None:
        return None if self.measured is None else as_stats(self.measured, arrived)


class ModuleWatch:
    """Records the outermost module calls; counts depth for all."""

    def __init__(
        self,
        mode: SeeingMode,
        leaves: LeafWatch,
        numbers: LateNumbers,
        quiet: QuietModules | None = None,
        closed: ClosedModules | None = None,
        denoiser: str | None = None,
    ) -> None:
        """`denoiser` names modules that are to be recorded wherever they are called."""
        self.mode = mode
        self.closed = closed
        self.denoiser = denoiser
        self._named: dict[int, bool] = {}  # by place: whether it calls what goes by that name
        self.leaves = leaves
        self.numbers = numbers
        self.quiet = quiet
        self.settled = False  # iterations show nothing new: values are not measured again
        self.left_out = False  # so it was of some call
        self.spared: frozenset[int] = frozenset()  # modules whose results others measure
        self.depth = 0
        self.calls: list[WatchedCall] = []
        # No list: one that gets empty and grows again is each time moved to other memory, among
        # what the program allocates meanwhile.
        self._open: deque[WatchedCall | None] = deque()
        self._numbers: dict[int, tuple[weakref.ref[Module], int]] = {}  # by the module's id
        self._times: list[int] = []  # by module number, how often it was called
        self._hold: set[int] = set()  # numbers of modules in which a leaf was used that none gave
        self._most: dict[int, tuple[int, str]] = {}  # by depth, of the one called most, its class
        self._hooks = CallHooks(self.entering, self.left)
        self._on_parameters: Any = None
        self._on_nodes: list[tuple[int, Any]] = []
        self.thread = get_ident()

    def install(self) -> None:
        self._hooks.install()
        self._on_parameters = register_module_parameter_registration_hook(self.registered)

    def remove(self) -> None:
        self._hooks.remove()
        self._on_parameters.remove()
        for _, handle in self._on_nodes:
            handle.remove()
        self._on_nodes = []

    def forget(self, shift: Shift) -> None:
        """A call that is still open goes on."""
        self._on_nodes[:] = without(self._on_nodes, shift)
        first, last = shift.first.op, shift.last.op
        down = last - first
        kept = []
        for call in self.calls:
            if call.from_op >= first:
                if call.from_op < last and 0 <= call.to_op <= last:
                    continue
                call.from_op = max(call.from_op - down, first)
            if call.to_op > first:
                call.to_op = max(call.to_op - down, first)
                call.inputs = shift.values(call.inputs)
                call.outputs = shift.values(call.outputs)
            kept.append(call)
        self.calls[:] = kept

    def registered(self, module: Module, name: str, parameter: Any) -> None:
        if get_ident() == self.thread:
            self.leaves.registered(parameter)

    def entering(self, module: Module, args: Any) -> None:
        if get_ident() != self.thread:
            return  # torch's hooks are for all threads, and the records are of one
        if self.closed is not None and self.closed.module is not None:
            self.closed.entered(module)
            return
        self._hooks.begun()
        if self.quiet is not None:
            self.quiet.entered(module)
        if not self.mode.pauses:
            self._enter(module, sys._getframe(1))

    def _enter(self, module: Module, frame: FrameType) -> None:
        call: WatchedCall | None = None
        shallow = self.depth <= _DEEPEST and self._matters()
        if len(self.calls) < _MOST and (shallow or self._is_named(module, frame)):
            journal = self.mode.journal
            number = self._number(module)
            times = self._times[number] = self._times[number] + 1
            if times > 1 and times > self._most.get(self.depth, (1, ""))[0]:
                self._most[self.depth] = times, type(module).__name__
            call = WatchedCall(
                module=number,
                name=type(module).__name__,
                depth=self.depth,
                from_op=len(journal.head),
                where=journal.stack.stack(frame),
                place=journal.stack.place(frame),
            )
            self.calls.append(call)
            meant = self.denoiser is None or self._is_named(module, frame)
            holds = number in self._hold
            if self.closed is not None and times > 1 and meant and not holds:
                call.closed = True
                self.closed.close(module)
                self._hooks.alone(module)
        self._open.append(call)
        self.depth += 1

    def _number(self, module: Module) -> int:
        known = self._numbers.get(id(module))
        if known is None or known[0]() is not module:
            ref = weakref.ref(module, self._gone(id(module)))
            known = self._numbers[id(module)] = ref, len(self._times)
            self._times.append(0)
        return known[1]

    def _gone(self, key: int) -> Callable[[Any], Any]:
        numbers = self._numbers
        return lambda _: numbers.pop(key, None)

    def busiest(self) -> tuple[int, str]:
        """The outermost module that is called again and again: how often, and its class."""
        return self._most[min(self._most)] if self._most else (0, "")

    def _is_named(self, module: Module, frame: FrameType) -> bool:
        if self.denoiser is None:
            return False
        stack = self.mode.journal.stack
        place = stack.place(frame)
        if place not in self._named:
            at = stack.places[place]
            self._named[place] = at is not None and name_at(*at) == self.denoiser
        return self._named[place] or type(module).__name__ == self.denoiser

    def _matters(self) -> bool:
        """Not what lies in a module that was called before: that is the denoiser, or a layer.

        But one that has the leaf inside is the program, wrapped as a module for its trainer.
        """
        if not self._open:
            return True
        around = self._open[-1]
        if around is None:
            return False
        return self._times[around.module] < 2 or around.module in self._hold

    def _holds(self, call: WatchedCall) -> bool:
        """Whether an op of a call used a leaf that was not passed to it, and is no module's."""
        journal, leaves = self.mode.journal, self.leaves.by_value
        first = journal.inputs_end[call.from_op - 1] if call.from_op else 0
        last = journal.inputs_end[call.to_op - 1] if call.to_op else 0
        used = set(journal.inputs[first:last]).difference(call.inputs)
        return any(not leaves[value].in_module for value in used.intersection(leaves))

    def left(self, module: Module, args: Any, *rest: Any) -> None:
        if get_ident() != self.thread:
            return
        closed = self.closed
        returned = len(rest) == 2
        if closed is not None and closed.module is not None:
            if not closed.left(module):
                return
            self._hooks.ended(raised=not returned)
        try:
            kwargs, output = rest if returned else ({}, None)  # a forward that raised gives none
            self._leave(args, kwargs, output)
        finally:
            if self.quiet is not None:
                self.quiet.left(module, raised=not returned)

    def _leave(self, args: Any, kwargs: Any, output: Any) -> None:
        if self.mode.pauses or not self._open:
            return
        self.depth -= 1
        call = self._open.pop()
        if call is None:
            return
        with aside():
            self.finished(call, args, kwargs, output)

    def finished(self, call: WatchedCall, args: Any, kwargs: Any, output: Any) -> None:
        journal = self.mode.journal
        inputs: list[int] = []
        call.to_op = len(journal.head)
        self.mode.collect(args, inputs, call.place)
        self.mode.collect(kwargs.values(), inputs, call.place)
        call.inputs = tuple(inputs)
        outputs = [output] if type(output) is Tensor else list(_tensors(output))
        if call.closed and self.closed is not None:
            call.outputs = self.closed.recorded(f"{call.name}.forward", call.place, inputs, outputs)
            call.to_op = len(journal.head)
        else:
            if self._times[call.module] == 1 and self._holds(call):
                self._hold.add(call.module)
            call.outputs = tuple(self.mode.memory.meet(t, call.place).value for t in outputs)
        call.sigma = self._sigma(args, kwargs)
        if outputs:
            if call.closed and self.settled:
                self.left_out = True
            else:
                call.values = self.numbers.values(outputs[0])
            call.device = device_of(outputs[0])
        if call.depth == 0 and outputs:
            first = outputs[0]
            node = history(first)
            if journal.flags[call.outputs[0]] & CONNECTED and node is not None:
                call.grad_fn = node.name()
                if call.closed and call.module in self.spared:
                    return
                call.hooked = True

                def measure(grad: Tensor | None, call: WatchedCall = call) -> None:
                    if grad is not None and not in_transform(grad):
                        call.measured = self.numbers.gradient(grad)
                        call.measured_in = self.mode.passes

                self._on_nodes.append((call.from_op, watch(first, node, measure)))

    def _sigma(self, args: Any, kwargs: Any) -> Number | None:
        """The first number among the arguments of a call: those that are no state."""
        journal = self.mode.journal
        seen_state = False
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, Tensor):
                ref = journal.identity.table.get(id(argument))
                derived = ref is not None and journal.flags[ref.value] & DERIVED
                if derived or (not seen_state and argument.ndim):
                    seen_state = True
                    continue
                if argument.ndim > 1 and argument.numel() > 1:
                    continue
                number = first_of(argument)
            else:
                number = as_number(argument)
            if number is not None:
                return number
        return None


def _tensors(output: Any) -> Any:
    """The tensors of a result: one, a tuple, a mapping such as a ModelOutput, an object."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (list, tuple)):
        for item in output:
            yield from _tensors(item)
    elif isinstance(output, dict):
        for item in output.values():
            yield from _tensors(item)
    elif hasattr(output, "__dataclass_fields__"):
        for name in output.__dataclass_fields__:
            yield from _tensors(getattr(output, name))
    elif hasattr(output, "__dict__"):  # a posterior or a distribution, with its mean
        yield from (item for item in vars(output).values() if isinstance(item, Tensor))
