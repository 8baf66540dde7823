"""The program's own gradient hooks: what each of them made of the gradient that it was given.

torch keeps the hooks of a tensor, a node or a module call in a dictionary or list. While a pass
runs, looks of ours stand between them, and never before or after it. The hooks themselves are
called as they are.
"""

from __future__ import annotations

import sys
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as _module
from torch.utils.hooks import BackwardHook

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.function_watch import PASSED_ON
from gradprobe.capture.hook_chain import Chain, Changed, Hook, Looks, Registered, hook_of, is_ours
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.memory import Memory
from gradprobe.capture.patches import Patches
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import (
    in_transform,
    module_hooks,
    sequence_number,
    tensor_hooks,
)
from gradprobe.capture.value_stats import on_host
from gradprobe.records.op import INSIDE_FUNCTION

_MOST = 20_000  # chains of hooks that are looked into
_MOST_NODES = 10_000  # nodes that are asked for their number in a run
_ACCUMULATES = 1 << 62  # nodes of leaves are numbered past all others
_OF_MODULES = (
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_backward_hook",
)
_OF_ALL_MODULES = (
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_backward_hook",
)


class HookWatch:
    """Knows the hooks that the program registered, and looks at them pass by pass."""

    def __init__(
        self, mode: SeeingMode, memory: Memory, leaves: LeafWatch, say: Callable[[str], None]
    ) -> None:
        self.mode = mode
        self.memory = memory
        self.leaves = leaves
        self.say = say
        self.thread = threading.get_ident()
        self.chains: dict[int, Chain] = {}
        # Of modules' hooks, by the hook's id: the dictionary that holds it, and its key there.
        self.of_modules: dict[int, tuple[weakref.ref[Any], int, Registered]] = {}
        self.asked = 0
        self._undo: list[Callable[[], None]] = []
        self._changes: list[Changed] = []

    def install(self, patches: Patches) -> None:
        """See the hooks of nodes and modules; those of tensors the function mode sees."""
        self.mode.on_hook = self.on_tensor
        patches.static_method(torch.autograd.Function, "_register_hook", self._on_node)
        for name in _OF_MODULES:
            patches.method(torch.nn.Module, name, self._on_module)
        for name in _OF_ALL_MODULES:
            patches.attribute(_module, name, self._on_module)

    def on_tensor(self, tensor: Tensor, handle: Any, frame: Any) -> None:
        """`register_hook` or `register_post_accumulate_grad_hook` returned `handle`."""
        hooks = handle.hooks_dict_ref()
        if hooks is None or is_ours(hooks.get(handle.id)) or in_transform(tensor):
            return
        chain = self._chain(hooks)
        if chain is not None:
            place = self.mode.journal.stack.place(frame)
            chain.on = "tensor" if hooks is tensor_hooks(tensor) else "accumulated"
            chain.value = self.memory.meet(tensor, place).value
            chain.known[handle.id] = self._registered(frame)

    def forget(self, shift: Shift) -> None:
        for chain in list(self.chains.values()):
            if chain.value >= 0:
                chain.value = shift.value(chain.value)
            for key, registered in chain.known.items():
                if registered.at_op >= 0:
                    chain.known[key] = replace(registered, at_op=shift.op(registered.at_op))

    def _registered(self, frame: Any) -> Registered:
        journal = self.mode.journal
        return Registered(journal.stack.place(frame), len(journal.head), journal.stack.stack(frame))

    def _on_node(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _register_hook(backward_hooks: Any, hook: Any) -> Any:
            hooks, handle = original(backward_hooks, hook)
            if not is_ours(hook) and not self._aside():
                modules = module_hooks(hook)
                chain = self._chain(hooks if modules is None else modules)
                if chain is not None and modules is None:
                    chain.known[handle.id] = self._registered(sys._getframe(1))
                elif chain is not None:
                    chain.on = "module"
            return hooks, handle

        return _register_hook

    def _on_module(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def register(*args: Any, **kwargs: Any) -> Any:
            handle = original(*args, **kwargs)
            hooks = handle.hooks_dict_ref()
            if not self._aside() and hooks is not None:
                place = self.mode.journal.stack.place(sys._getframe(1))
                at = weakref.ref(hooks), handle.id, Registered(place)
                self.of_modules[id(hooks[handle.id])] = at
            return handle

        return register

    def _aside(self) -> bool:
        """Whether what runs now is no forward of the program's."""
        return bool(self.mode.pauses) or threading.get_ident() != self.thread

    def _chain(self, home: Any) -> Chain | None:
        key = id(home)
        chain = self.chains.get(key)
        if chain is None and len(self.chains) >= _MOST:
            self.say(f"more than {_MOST:,} tensors and nodes have hooks: not all were looked into")
        elif chain is None:
            gone = weakref.ref(home, lambda _: self.chains.pop(key, None))
            chain = self.chains[key] = Chain(gone, "node")
        return chain

    def begin(self) -> None:
        """A pass begins: put our looks between the program's hooks."""
        try:
            for leaf in self.leaves.leaves:
                tensor = leaf.ref()
                hooks = None if tensor is None else tensor_hooks(tensor)
                if hooks and id(hooks) not in self.chains and (chain := self._chain(hooks)):
                    chain.on, chain.value = "tensor", leaf.values[-1]  # from before the probe
            for chain in list(self.chains.values()):
                home = chain.home()
                if home is not None and chain.on == "module":
                    self._open_call(chain, home)
                elif home:
                    self._open(chain, home)
        except Exception as fault:
            # A fault of ours may cost the diagnosis, never the program.
            self.say(f"the program's gradient hooks were not looked into: {fault!r}")

    def end(self) -> Sequence[Changed]:
        """The pass is over: take the looks away, and tell what they saw change."""
        while self._undo:
            self._undo.pop()()
        changes, self._changes = self._changes, []
        try:
            return _settled(changes)
        except Exception as fault:
            self.say(f"what the program's gradient hooks did is not known: {fault!r}")
            return ()

    def _open(self, chain: Chain, hooks: dict[Any, Any]) -> None:
        """The dictionary of a tensor or a node: torch calls its values in order of insertion."""
        if all(is_ours(hook) for hook in hooks.values()):
            return
        picks = {"tensor": _first, "node": _every, "accumulated": _accumulated}[chain.on]
        looks = Looks(chain, picks, self._made_by, self._changes.append, self.say)
        between: list[tuple[Any, Any]] = [(object(), looks.look(None))]
        for key, hook in list(hooks.items()):
            between.append((key, hook))
            if not is_ours(hook):
                known = hook_of(hook, chain.known.get(key))
                between.append((object(), looks.look(known)))
        ours = [key for key, hook in between if is_ours(hook) and key not in hooks]
        home = chain.home

        def undo() -> None:
            looks.close()
            hooks = home()
            if hooks is not None:
                for key in ours:
                    hooks.pop(key, None)

        self._undo.append(undo)
        hooks.clear()
        hooks.update(between)

    def _open_call(self, chain: Chain, call: BackwardHook) -> None:
        """What torch made at one call of a module: two lists of the module's hooks."""
        for hooks, before in ((call.user_pre_hooks, True), (call.user_hooks, False)):
            if not hooks:
                continue
            index = call.output_tensors_index if before else call.input_tensors_index
            looks = Looks(
                chain, _second, self._of_call(index or ()), self._changes.append, self.say
            )
            between: list[Any] = [looks.look(None)]
            for hook in hooks:
                between += [hook, looks.look(self._of_module(hook))]
            self._undo.append(_putting_back(chain.home, before))
            hooks[:] = between

    def _of_module(self, hook: Any) -> Hook:
        known = self.of_modules.get(id(hook))
        if known is not None:
            home, key, registered = known
            if (home() or {}).get(key) is hook:
                return hook_of(hook, registered)
        return hook_of(hook, None)

    def _made_by(self, node: Any, position: int, args: Sequence[Any]) -> tuple[int, int]:
        """Of what a prehook changes: what the node made; of what a hook changes: what it took."""
        return self._node(node, position) if len(args) == 1 else self._behind(node, position)

    def _behind(self, node: Any, position: int) -> tuple[int, int]:
        following = node.next_functions
        return self._node(*following[position]) if position < len(following) else (-1, -1)

    def _of_call(
        self, index: Sequence[int]
    ) -> Callable[[Any, int, Sequence[Any]], tuple[int, int]]:
        """Of what a module's hook changes: torch's own node stands for all its tensors."""

        def made_by(node: Any, position: int, args: Sequence[Any]) -> tuple[int, int]:
            return self._node(node, list(index).index(position) if position in index else 0)

        return made_by

    def _node(self, node: Any, result: int) -> tuple[int, int]:
        """The value of a leaf, or the op that made one of a node's results; -1 if not known."""
        if node is None or self.asked >= _MOST_NODES:
            return -1, -1
        self.asked += 1
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            ref = self.mode.table.get(id(variable))
            return (-1 if ref is None else ref.value), -1
        number = sequence_number(node)
        if number >= _ACCUMULATES:
            return -1, -1
        journal = self.mode.journal
        op = bisect_right(journal.sequence, number)
        while op < len(journal.head) and (journal.head[op] >> 16) & INSIDE_FUNCTION:
            op += 1  # what runs in a custom Function's forward comes before its own row
        if op < len(journal.head) and journal.callees[journal.head[op] & 0xFFFF] is PASSED_ON:
            op += result  # one node, and a row for each of its results
        return -1, op if op < len(journal.head) else -1

    def remove(self) -> None:
        self.mode.on_hook = None
        self.chains.clear()
        self.of_modules.clear()


def _putting_back(home: weakref.ref[Any], before: bool) -> Callable[[], None]:
    def undo() -> None:
        call = home()
        if call is not None:
            hooks = call.user_pre_hooks if before else call.user_hooks
            hooks[:] = [hook for hook in hooks if not is_ours(hook)]

    return undo


def _first(args: Sequence[Any]) -> Sequence[Tensor | None]:
    return args[:1]


def _second(args: Sequence[Any]) -> Sequence[Tensor | None]:
    given = args[1]
    return given if isinstance(given, tuple) else tuple(given)


def _every(args: Sequence[Any]) -> Sequence[Tensor | None]:
    given: Sequence[Tensor | None] = args[0]
    return given


def _accumulated(args: Sequence[Any]) -> Sequence[Tensor | None]:
    return (args[0].grad,)


def _settled(changes: Sequence[Changed]) -> list[Changed]:
    """All numbers on the host, without what turns out to have changed nothing."""
    waiting = [n for c in changes for n in (c.before, c.after) if isinstance(n, Tensor)]
    rows = on_host(waiting) if waiting else {}
    for change in changes:
        if isinstance(change.before, Tensor):
            change.before = tuple(rows[id(change.before)])
        if isinstance(change.after, Tensor):
            change.after = tuple(rows[id(change.after)])
    return [change for change in changes if not change.same]
