"""Memory that numpy or DLPack shares: what is written there, torch does not see."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from gradprobe.capture.contents import Contents
from gradprobe.capture.identity import Identity, TensorRef
from gradprobe.capture.torch_internals import aside, has_numbers

SHARING: Final = frozenset({"numpy", "__array__", "__dlpack__"})
_MOST = 16  # the latest exports alone are looked at again
_MOST_BYTES = 1 << 22


@dataclass(slots=True)
class _Export:
    """Exit `number` shared memory, which lives as long as some tensor `on` its storage."""

    number: int
    storage: int
    on: list[TensorRef]
    start: int
    size: int
    held: int


class Exports:
    """The latest exits by which memory is shared, with what that memory held."""

    __slots__ = ("contents", "identity", "latest")

    def __init__(self, identity: Identity, contents: Contents) -> None:
        self.identity = identity
        self.contents = contents
        self.latest: deque[_Export] = deque(maxlen=_MOST)

    def left(self, number: int, tensor: Tensor) -> None:
        """A tensor's memory is shared from now on, by exit `number`."""
        ref = self.identity.table.get(id(tensor))
        span = _extent(tensor)
        if ref is None or span is None or span[1] > _MOST_BYTES:
            return
        self.identity.share(tensor, ref)
        on = self.identity.by_storage.get(ref.storage)
        held = None if on is None else self.contents.at(*span)
        if on is not None and held is not None:
            self.latest.append(_Export(number, ref.storage, on, *span, held))

    def written(self, storage: int) -> None:
        """An op of torch wrote: of later changes nobody knows whose they are."""
        for export in [e for e in self.latest if e.storage == storage]:
            self.latest.remove(export)

    def changed(self) -> tuple[int, ...]:
        """The exits whose memory was changed meanwhile, by no op that was seen."""
        found = []
        for export in list(self.latest):
            if self.identity.by_storage.get(export.storage) is not export.on:
                self.latest.remove(export)  # the memory is gone
                continue
            held = self.contents.at(export.start, export.size)
            if held is not None and held != export.held:
                self.latest.remove(export)
                found.append(export.number)
        return tuple(found)

    def forget(self, numbers: Mapping[int, int]) -> None:
        """Exits have other numbers now; those that none stands for are forgotten."""
        for export in list(self.latest):
            if export.number in numbers:
                export.number = numbers[export.number]
            else:
                self.latest.remove(export)


def _extent(tensor: Tensor) -> tuple[int, int] | None:
    """The address of a tensor's first byte, and the bytes to its last; None if there is none."""
    with aside():
        if not has_numbers(tensor) or tensor.device.type != "cpu" or not tensor.numel():
            return None
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        elements = 1 + sum((size - 1) * stride for size, stride in steps)
        return tensor.data_ptr(), elements * tensor.element_size()
