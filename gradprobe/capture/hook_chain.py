"""The program's hooks on one tensor, node or module call, with looks of ours between them.

Only while a pass runs: before it and after it the program's dictionaries are as it left them.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any, Literal

from torch import Tensor
from torch.overrides import TorchFunctionMode

from gradprobe.capture.gradient_stats import Numbers, statistics
from gradprobe.capture.op_table import classify
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import (
    aside,
    current_node,
    has_numbers,
    off_stack,
    on_stack,
    version,
)
from gradprobe.records.op import Kind
from gradprobe.records.sampling import Where

_NO_USE = frozenset({Kind.QUIET, Kind.LEAF})
_CLEARS = frozenset({"detach_", "_foreach_zero_"})

On = Literal["tensor", "node", "module", "accumulated"]


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a hook was registered; for a tensor also after how many ops, and the stack."""

    place: int = 0
    at_op: int = -1
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook: its code, what it is called, and what is known of its registration."""

    code: CodeType | None
    name: str
    registered: Registered


def hook_of(hook: Any, registered: Registered | None) -> Hook:
    """What is known of a callable, past what binds, wraps or adapts it."""
    for _ in range(8):
        if isinstance(hook, functools.partial):
            hook = hook.func
        elif hasattr(hook, "__func__"):
            hook = hook.__func__
        elif hasattr(hook, "__wrapped__"):
            hook = hook.__wrapped__
        elif not hasattr(hook, "__code__"):
            # torch's own wrapper of a module's hook, or an object that can be called
            inner = getattr(hook, "hook", None) or vars(type(hook)).get("__call__")
            if not hasattr(inner, "__code__"):
                break
            hook = inner
        elif hook.__code__.co_qualname.startswith("register_multi_grad_hook."):
            free = hook.__code__.co_freevars
            cells = dict(zip(free, hook.__closure__ or (), strict=True))
            if "fn" not in cells:
                break
            hook = cells["fn"].cell_contents
        else:
            break
    code = getattr(hook, "__code__", None)
    return Hook(code, str(getattr(hook, "__qualname__", "")), registered or Registered())


def is_ours(hook: Any) -> bool:
    """Whether a hook is one by which the probe itself looks."""
    return str(getattr(hook, "__module__", "")).startswith("gradprobe.capture")


@dataclass(slots=True)
class Changed:
    """One gradient that a hook changed, or may have: other devices are asked after the pass."""

    on: On
    hook: Hook
    value: int
    op: int
    before: Numbers
    after: Numbers | None
    taken: bool = False

    def forget(self, shift: Shift) -> None:
        self.value = shift.value(self.value) if self.value >= 0 else -1
        self.op = shift.op(self.op) if self.op >= 0 else -1
        registered = self.hook.registered
        if registered.at_op >= 0:
            registered = replace(registered, at_op=shift.op(registered.at_op))
            self.hook = replace(self.hook, registered=registered)

    @property
    def same(self) -> bool:
        """Whether the two are known to be equal; NaN is equal to NaN here."""
        before, after = self.before, self.after
        if isinstance(before, Tensor) or isinstance(after, Tensor) or after is None:
            return False
        return all(a == b or (a != a and b != b) for a, b in zip(before, after, strict=True))


@dataclass(slots=True)
class Chain:
    """Where hooks are kept: a dictionary, or the object that torch makes at a module's call."""

    home: weakref.ref[Any]
    on: On
    value: int = -1
    known: dict[int, Registered] = field(default_factory=dict)  # by the hook's key


class _Uses(TorchFunctionMode):
    """Notes whether a torch call takes one tensor, while a hook runs that may drop it."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.tensor = weakref.ref(tensor)
        self.found = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if not self.found:
            self.found = self._takes(func, (*args, *(kwargs or {}).values()))
        return func(*args, **(kwargs or {}))

    def _takes(self, func: Any, given: Sequence[Any]) -> bool:
        tensor = self.tensor()
        flat = [t for a in given for t in (a if isinstance(a, (list, tuple)) else (a,))]
        if tensor is None or not any(t is tensor for t in flat):
            return False
        callee, name = classify(func)
        clears = callee.kind is Kind.OVERWRITE and flat[0] is tensor
        return not (clears or callee.kind in _NO_USE or name in _CLEARS)


class Looks:
    """The looks between the hooks of one chain in one pass.

    `gradients` picks from a hook's arguments those that it may change; `made_by` says of the node
    that runs now, of a position and those arguments, which value or op the gradient is of.
    """

    def __init__(
        self,
        chain: Chain,
        gradients: Callable[[Sequence[Any]], Sequence[Tensor | None]],
        made_by: Callable[[Any, int, Sequence[Any]], tuple[int, int]],
        found: Callable[[Changed], None],
        say: Callable[[str], None],
    ) -> None:
        self.chain = chain
        self.gradients = gradients
        self.made_by = made_by
        self.found = found
        self.say = say
        self.last: list[Numbers | None] = []
        self.uses: _Uses | None = None
        self.written: int | None = None

    def look(self, after: Hook | None) -> Callable[..., None]:
        """A hook of ours, to stand behind `after`, or before all of them."""

        def looks(*args: Any) -> None:
            self.close()
            try:
                with aside():
                    self._seen(after, args)
                    self._await(args)
            except Exception as fault:  # never the program's to bear
                self.say(f"what a hook did was not seen: {fault!r}")
            if self.uses is not None:
                on_stack(self.uses)

        marked: Any = looks  # a function takes any attribute; this one torch looks for
        marked.__torch_unserializable__ = True
        return looks

    def close(self) -> None:
        """Watch the hook before no longer."""
        if self.uses is not None:
            off_stack(self.uses)

    def _seen(self, hook: Hook | None, args: Sequence[Any]) -> None:
        taken = self._taken(args)
        gradients = self.gradients(args)
        numbers = [None if g is None else _numbers(g) for g in gradients]
        if hook is not None and len(numbers) == len(self.last):
            for position, (before, after) in enumerate(zip(self.last, numbers, strict=True)):
                dropped = gradients[position] is None
                if before is None or (after is None and not dropped):
                    continue
                value = self.chain.value
                change = Changed(self.chain.on, hook, value, -1, before, after, taken)
                if change.same:
                    continue
                if value < 0:
                    change.value, change.op = self.made_by(current_node(), position, args)
                self.found(change)
        self.last = numbers

    def _await(self, args: Sequence[Any]) -> None:
        """Of a hook that runs when `.grad` was written: be ready to see what it does with it."""
        if self.chain.on == "accumulated" and args[0].grad is not None:
            self.written = version(args[0])
            self.uses = _Uses(args[0].grad)

    def _taken(self, args: Sequence[Any]) -> bool:
        uses, self.uses = self.uses, None
        if uses is None:
            return False
        kept = uses.tensor() is not None and args[0].grad is None
        return uses.found or kept or version(args[0]) != self.written


def _numbers(grad: Tensor) -> Numbers | None:
    if not has_numbers(grad):
        return None
    found = statistics(grad)
    if isinstance(found, Tensor) and found.device.type == "cpu":
        return tuple(found.tolist())
    return found
