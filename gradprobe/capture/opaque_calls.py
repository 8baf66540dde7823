"""Calls whose inside no function mode sees: of TorchScript, and of vmap and jvp.

Each is one op from the tensors that it was given to those that it gave, at the line of the call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch._functorch.apis
import torch._functorch.eager_transforms
from torch import Tensor

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.function_watch import FunctionWatch
from gradprobe.capture.one_op import as_one_op
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import NoSubclasses, has_history, version
from gradprobe.records.op import Callee, Kind

_INTO = Callee("into a torch.func transform", Kind.VIEW)
_OUT_OF = Callee("out of a torch.func transform", Kind.VIEW)


class OpaqueCalls:
    """Wraps what calls them while a probe is active."""

    def __init__(
        self, mode: SeeingMode, functions: FunctionWatch, say: Callable[[str], None]
    ) -> None:
        self.mode = mode
        self.functions = functions
        self.say = say
        self.thread = threading.get_ident()

    def install(self, patches: Patches) -> None:
        patches.attribute(torch._C.ScriptFunction, "__call__", self._scripted)
        patches.attribute(torch._C.ScriptMethod, "__call__", self._scripted)
        transforms = torch._functorch.eager_transforms
        vmap, jvp = "torch.func.vmap", "torch.func.jvp"
        patches.attribute(torch._functorch.apis, "vmap_impl", lambda f: self._mapped(f, vmap))
        patches.attribute(transforms, "_jvp_with_argnums", lambda f: self._mapped(f, jvp))
        patches.attribute(transforms, "_wrap_for_grad", lambda f: self._level(f, _INTO))
        patches.attribute(transforms, "_unwrap_for_grad", lambda f: self._level(f, _OUT_OF))

    def _watches(self) -> bool:
        return not self.mode.pauses and threading.get_ident() == self.thread

    def _scripted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __call__(called: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._watches():
                return original(called, *args, **kwargs)
            before = _versions((args, kwargs))
            result = original(called, *args, **kwargs)
            self._record(_named(called), (args, kwargs), before, result, sys._getframe(1))
            return result

        return __call__

    def _mapped(self, original: Callable[..., Any], transform: str) -> Callable[..., Any]:
        """A transform inside which no tensor says whether it requires grad."""

        def mapped(func: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._watches():
                return original(func, *args, **kwargs)
            before = _versions((args, kwargs))
            self.mode.pauses += 1
            try:
                result = original(func, *args, **kwargs)
            finally:
                self.mode.pauses -= 1
            name = f"{transform}({getattr(func, '__name__', type(func).__name__)})"
            self._record(name, (args, kwargs), before, result, sys._getframe(1))
            return result

        return mapped

    def _level(self, original: Callable[..., Any], callee: Callee) -> Callable[..., Any]:
        """A tensor goes into a transform of torch.func, or comes out: the same values."""

        def handed(tensor: Any, level: int) -> Any:
            result = original(tensor, level)
            if self._watches() and isinstance(tensor, Tensor) and result is not tensor:
                try:
                    with NoSubclasses():
                        place = self.mode.journal.stack.place(sys._getframe(1))
                        self.functions.hand_on(callee, tensor, result, place)
                except Exception as fault:  # never the program's to bear
                    self.say(f"a torch.func transform was not followed: {fault!r}")
            return result

        return handed

    def _record(
        self, name: str, given: Any, before: dict[int, int | None], result: Any, frame: Any
    ) -> None:
        mode, memory = self.mode, self.mode.memory
        try:
            with NoSubclasses():
                place = mode.journal.stack.place(frame)
                inputs: list[int] = []
                mode.collect(given, inputs, place)
                outputs = [t for t in _tensors(result) if isinstance(t, Tensor)]
                for tensor in outputs:
                    if has_history(tensor) and id(tensor) not in mode.table:
                        inputs += memory.sources_of(tensor, place)
                as_one_op(mode, name, place, inputs, outputs)
                if any(version(t) != before.get(id(t)) for t in _tensors(given)):
                    self.say(f"{name} wrote to a tensor that it was given: the write was not seen")
        except Exception as fault:  # never the program's to bear
            self.say(f"{name} was not recorded: {fault!r}")


def _named(called: Any) -> str:
    """`blend` of a scripted function, `Denoiser.forward` of a scripted module."""
    name = str(getattr(called, "name", "a scripted function"))
    owner = getattr(called, "owner", None)
    kind = getattr(owner, "_type", None)
    if kind is None:
        return name
    return f"{str(kind().name()).rpartition('.')[2]}.{name}"


def _versions(given: Any) -> dict[int, int | None]:
    return {id(tensor): version(tensor) for tensor in _tensors(given)}


def _tensors(thing: Any) -> Iterator[Tensor]:
    """Those in (nested) tuples, lists and dictionaries."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _tensors(item)
    elif isinstance(thing, dict):
        yield from _tensors(tuple(thing.values()))
