"""Ways out of torch and back that no function mode sees: DLPack, buffers, pickles.

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
from torch import Tensor
from torch.multiprocessing import reductions

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import NoSubclasses
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import DERIVED, HOST

_DLPACK = Callee("torch.from_dlpack", Kind.HOST)
_BUFFER = Callee("torch.frombuffer", Kind.HOST)
_PROCESS = Callee("a tensor from another process", Kind.HOST)
_TO_DLPACK = Callee("torch.utils.dlpack.to_dlpack", Kind.EXIT)
_PICKLED = Callee("a pickle for another process", Kind.EXIT)
_MOST = 64  # capsules on their way, and pickled values, that are remembered


class Crossings:
    """Wraps what makes them while a probe is active."""

    def __init__(self, mode: SeeingMode, say: Callable[[str], None]) -> None:
        self.mode = mode
        self.say = say
        self.thread = threading.get_ident()
        self._capsules: deque[tuple[int, int]] = deque(maxlen=_MOST)  # `id()`, and its exit
        # Values that another thread pickled, as the feeder of a queue does: the rows are not its.
        self._pickled: deque[int] = deque(maxlen=_MOST)

    def install(self, patches: Patches) -> None:
        patches.attribute(torch.utils.dlpack, "to_dlpack", self._to_dlpack)
        patches.attribute(torch.utils.dlpack, "from_dlpack", self._from_dlpack)
        patches.attribute(torch, "from_dlpack", self._from_dlpack)
        patches.attribute(torch, "frombuffer", lambda f: self._made(f, _BUFFER))
        patches.attribute(reductions, "rebuild_tensor", lambda f: self._made(f, _PROCESS))
        patches.class_method(ForkingPickler, "dumps", self._dumps)

    def _watches(self) -> bool:
        return not self.mode.pauses and threading.get_ident() == self.thread

    def _to_dlpack(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def to_dlpack(tensor: Any) -> Any:
            capsule = original(tensor)
            if self._watches() and isinstance(tensor, Tensor):
                exit = self._leaves(_TO_DLPACK, "__dlpack__", tensor, sys._getframe(1))
                self._capsules.append((id(capsule), exit))
            return capsule

        return to_dlpack

    def _from_dlpack(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def from_dlpack(data: Any, *args: Any, **kwargs: Any) -> Any:
            exits = self.mode.memory.exits
            before = len(exits)
            result = original(data, *args, **kwargs)
            if self._watches() and isinstance(result, Tensor):
                exit = len(exits) - 1 if len(exits) > before else -1
                for known, number in list(self._capsules):
                    if known == id(data):  # a capsule is used up, and its address free
                        exit = number
                        self._capsules.remove((known, number))
                self._comes(_DLPACK, result, exit, sys._getframe(1))
            return result

        return from_dlpack

    def _made(self, original: Callable[..., Any], callee: Callee) -> Callable[..., Any]:
        """A function that gives a tensor of data that torch does not know."""

        @functools.wraps(original)  # pickles know it by its name
        def made(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if self._watches() and isinstance(result, Tensor):
                self._comes(callee, result, -1, sys._getframe(1))
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
                        self._leaves(_PICKLED, "pickle", tensor, sys._getframe(1))
                    else:
                        self._pickled.append(ref.value)
            return original(cls, obj, *args, **kwargs)

        return dumps

    def _leaves(self, callee: Callee, through: str, tensor: Tensor, frame: Any) -> int:
        """A row for an exit; returns the exit's number."""
        mode, journal = self.mode, self.mode.journal
        with NoSubclasses():
            place = journal.stack.place(frame)
            value = mode.memory.meet(tensor, place).value
            return self._exit(callee, through, [value], place, tensor)

    def _exit(
        self, callee: Callee, through: str, values: list[int], place: int, tensor: Tensor | None
    ) -> int:
        journal, memory = self.mode.journal, self.mode.memory
        row = journal.row(journal.callee(callee), 0, 0, place, 0, values, [])
        memory.left(row, through, values, (tensor,), None)
        return len(memory.exits) - 1

    def _comes(self, callee: Callee, tensor: Tensor, exit: int, frame: Any) -> None:
        """A row for data that came back; by exit number `exit`, if that is known."""
        journal, memory = self.mode.journal, self.mode.memory
        with NoSubclasses():
            place = journal.stack.place(frame)
            while self._pickled:
                self._exit(_PICKLED, "pickle", [self._pickled.popleft()], place, None)
            value = journal.new_value(tensor, HOST)
            ref = journal.identity.table.get(id(tensor))
            if ref is None:
                journal.identity.add(tensor, value)
            else:
                ref.value = value
            journal.row(journal.callee(callee), 0, 0, place, 0, [], [value])
            if exit >= 0:
                memory.returned(exit, value, place)


def _tensors(thing: Any) -> Iterator[Tensor]:
    """Those in (nested) tuples, lists and dictionaries."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _tensors(item)
    elif isinstance(thing, dict):
        yield from _tensors(tuple(thing.values()))
