"""Ways out of torch and back that no function mode sees: NumPy, DLPack, buffers, pickles.

Where values come back is a row of its own. What left in a pickle for another process is an exit:
what comes back with the same shape may have been made from it.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
import torch.utils.dlpack
from torch import Tensor
from torch.multiprocessing import reductions

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import NoSubclasses
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import DERIVED

_NUMPY = Callee("torch.from_numpy", Kind.HOST)
_DLPACK = Callee("torch.from_dlpack", Kind.HOST)
_BUFFER = Callee("torch.frombuffer", Kind.HOST)
_PROCESS = Callee("a tensor from another process", Kind.HOST)
_TO_DLPACK = Callee("torch.to_dlpack", Kind.EXIT)
_PICKLED = Callee("a pickle for another process", Kind.EXIT)
_MOST = 64  # pickled values that are remembered


class Crossings:
    """Wraps what makes them while a probe is active."""

    def __init__(self, mode: SeeingMode) -> None:
        self.mode = mode
        self.thread = threading.get_ident()
        # Values that another thread pickled, as the feeder of a queue does: the rows are not its.
        self._pickled: deque[int] = deque(maxlen=_MOST)

    def install(self, patches: Patches) -> None:
        patches.attribute(torch, "from_numpy", lambda f: self._made(f, _NUMPY))
        patches.attribute(torch, "frombuffer", lambda f: self._made(f, _BUFFER))
        for owner in (torch, torch.utils.dlpack):
            patches.attribute(owner, "to_dlpack", self._to_dlpack)
            patches.attribute(owner, "from_dlpack", lambda f: self._made(f, _DLPACK))
        patches.attribute(reductions, "rebuild_tensor", lambda f: self._made(f, _PROCESS))
        patches.class_method(ForkingPickler, "dumps", self._dumps)

    def _watches(self) -> bool:
        return not self.mode.pauses and threading.get_ident() == self.thread

    def _to_dlpack(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def to_dlpack(tensor: Any) -> Any:
            result = original(tensor)
            if self._watches() and isinstance(tensor, Tensor):
                self._leaves(_TO_DLPACK, "__dlpack__", tensor, result, sys._getframe(1))
            return result

        return to_dlpack

    def _made(self, original: Callable[..., Any], callee: Callee) -> Callable[..., Any]:
        """A function that gives a tensor of data that torch does not know."""

        @functools.wraps(original)  # pickles know it by its name
        def made(*args: Any, **kwargs: Any) -> Any:
            exits = self.mode.memory.exits
            before = len(exits)
            result = original(*args, **kwargs)
            if self._watches() and isinstance(result, Tensor):
                # `from_dlpack(x)` asks the tensor itself for its memory.
                handed_over = callee is _DLPACK and len(exits) > before
                data = args[0] if args else None
                left = before if handed_over else None
                self._comes(callee, result, data, left, sys._getframe(1))
            return result

        return made

    def _dumps(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def dumps(cls: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
            table, flags = self.mode.table, self.mode.journal.flags
            for tensor in _tensors(obj):
                ref = table.get(id(tensor))
                if ref is not None and flags[ref.value] & DERIVED:
                    if self._watches():
                        self._leaves(_PICKLED, "pickle", tensor, None, sys._getframe(1))
                    else:
                        self._pickled.append(ref.value)
            return original(cls, obj, *args, **kwargs)

        return dumps

    def _leaves(
        self, callee: Callee, through: str, tensor: Tensor, result: Any, frame: Any
    ) -> None:
        """A row for an exit of what comes from a leaf."""
        journal, memory = self.mode.journal, self.mode.memory
        with NoSubclasses():
            place = journal.stack.place(frame)
            value = memory.meet(tensor, place).value
            if journal.flags[value] & DERIVED or memory.follow_all:
                self._exit(callee, through, value, place, tensor, result)

    def _exit(
        self,
        callee: Callee,
        through: str,
        value: int,
        place: int,
        tensor: Tensor | None = None,
        result: Any = None,
    ) -> None:
        journal = self.mode.journal
        row = journal.row(journal.callee(callee), 0, 0, place, 0, [value], [])
        self.mode.memory.left(row, through, [value], (tensor,), result)

    def _comes(
        self, callee: Callee, tensor: Tensor, data: Any, exit: int | None, frame: Any
    ) -> None:
        """A row for data that came back; by the exit of that number, if it is known."""
        with NoSubclasses():
            place = self.mode.journal.stack.place(frame)
            while self._pickled:
                self._exit(_PICKLED, "pickle", self._pickled.popleft(), place)
            self.mode.memory.new_from_host(tensor, callee, data, place, exit)


def _tensors(thing: Any) -> Iterator[Tensor]:
    """Those in (nested) tuples, lists and dictionaries."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _tensors(item)
    elif isinstance(thing, dict):
        yield from _tensors(tuple(thing.values()))
