"""Which tensor is which: numbers for values, through weak references and shared memory.

`id()` is reused as soon as a tensor dies, so every entry carries a weak reference that takes it
out of the table at death. A value is a tensor between two writes; writing gives a new number.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import version

_TRIES = 256  # to find an element in common; past them the answer is yes


class TensorRef(weakref.ref[Tensor]):
    """A live tensor's entry: its key in the table and the number of its current value."""

    # One is made for every tensor: the rare facts are kept out of it until they are needed.
    __slots__ = ("__dict__", "key", "value")

    key: int
    value: int
    storage: int = 0
    in_module: bool = False
    version: int | None = None  # known where `Identity.split` holds the storage


class Identity:
    """The live tensors that were seen, by `id()`; and, for those that share memory, by storage."""

    __slots__ = ("by_storage", "gone", "split", "table")

    def __init__(self) -> None:
        self.table: dict[int, TensorRef] = {}
        self.by_storage: dict[int, list[TensorRef]] = {}
        # Storages that more than one version counter stands for: `x.data` has its own.
        self.split: set[int] = set()
        table, by_storage, split = self.table, self.by_storage, self.split

        def gone(ref: Any) -> None:  # a TensorRef; the stub of weakref knows only its base
            key = ref.key
            if table.get(key) is ref:
                del table[key]
            if ref.storage:
                sharing = by_storage.get(ref.storage)
                if sharing is not None:
                    sharing[:] = [other for other in sharing if other is not ref]
                    if not sharing:
                        del by_storage[ref.storage]
                        split.discard(ref.storage)

        self.gone = gone

    def add(self, tensor: Tensor, value: int) -> TensorRef:
        """Enter a tensor that was not in the table, as `value`."""
        ref = TensorRef(tensor, self.gone)
        ref.key = id(tensor)
        ref.value = value
        self.table[ref.key] = ref
        return ref

    def share(self, tensor: Tensor, ref: TensorRef) -> None:
        """Remember that others may share this tensor's memory (it is, or has, a view)."""
        if ref.storage:
            return
        storage = storage_of(tensor)
        if storage:
            ref.storage = storage
            self.by_storage.setdefault(storage, []).append(ref)
            if storage in self.split:
                ref.version = version(tensor)

    def count_apart(self, ref: TensorRef) -> None:
        """From now on watch the version counters on a tensor's memory, each for itself."""
        if ref.storage and ref.storage not in self.split:
            self.split.add(ref.storage)
            for other in self.by_storage[ref.storage]:
                tensor = other()
                other.version = None if tensor is None else version(tensor)

    def part(self, ref: TensorRef) -> None:
        """Forget which memory a tensor shares: it has moved to another."""
        sharing = self.by_storage.get(ref.storage)
        if sharing is not None:
            sharing[:] = [other for other in sharing if other is not ref]
            if not sharing:
                del self.by_storage[ref.storage]
                self.split.discard(ref.storage)
        ref.storage = 0

    def sharing(self, tensor: Tensor, ref: TensorRef) -> Iterator[TensorRef]:
        """The other live tensors whose memory overlaps that of `tensor`."""
        if not ref.storage:
            return
        for other in list(self.by_storage.get(ref.storage, ())):
            if other is not ref:
                alias = other()
                if alias is not None and overlap(tensor, alias):
                    yield other

    def same_storage(self, tensor: Tensor) -> TensorRef | None:
        """Some live tensor, known to be shared, with the memory of `tensor`."""
        storage = storage_of(tensor)
        found = self.by_storage.get(storage) if storage else None
        return found[-1] if found else None

    def forget(self, shift: Shift) -> None:
        """Live tensors whose values are forgotten hold their twins."""
        first = shift.first.value
        for ref in list(self.table.values()):
            if ref.value >= first:
                ref.value = shift.value(ref.value)

    def clear(self) -> None:
        self.table.clear()
        self.by_storage.clear()
        self.split.clear()


def storage_of(tensor: Tensor) -> int:
    """The address of the storage object, or 0 where there is none (sparse tensors)."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return 0


def overlap(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors on one storage have an element in common.

    Exact for elements of one width, but for strides so odd that it takes too many tries; otherwise
    the spans of memory are compared, which may say yes too often, never no wrongly.
    """
    first_a, first_b = int(a.storage_offset()), int(b.storage_offset())
    if a.numel() == 0 or b.numel() == 0:
        return False
    width_a, width_b = a.element_size(), b.element_size()
    last_a = first_a + sum((n - 1) * s for n, s in zip(a.shape, a.stride(), strict=True))
    last_b = first_b + sum((n - 1) * s for n, s in zip(b.shape, b.stride(), strict=True))
    if (last_a + 1) * width_a <= first_b * width_b or (last_b + 1) * width_b <= first_a * width_a:
        return False
    if width_a != width_b:
        return True
    # An element in common: so many steps in a, less so many in b, are the distance of their starts.
    steps: dict[int, tuple[int, int]] = {}
    for size, stride in zip(b.shape, b.stride(), strict=True):
        low, high = steps.get(stride, (0, 0))
        steps[stride] = (low - size + 1, high)
    for size, stride in zip(a.shape, a.stride(), strict=True):
        low, high = steps.get(stride, (0, 0))
        steps[stride] = (low, high + size - 1)
    steps.pop(0, None)
    return _reachable(first_b - first_a, sorted(steps.items(), reverse=True))


def _reachable(distance: int, steps: list[tuple[int, tuple[int, int]]]) -> bool:
    """Whether steps, each taken from `low` to `high` times, can add up to a distance."""
    reach = [(0, 0)]  # of the steps after each: the least and the most that they add up to
    for stride, (low, high) in reversed(steps):
        reach.append((reach[-1][0] + stride * low, reach[-1][1] + stride * high))
    reach.reverse()
    waiting = [(0, distance)]
    for _ in range(_TRIES):
        if not waiting:
            return False
        position, left = waiting.pop()
        if position == len(steps):
            return True
        stride, (low, high) = steps[position]
        least, most = reach[position + 1]
        first, last = max(low, -((most - left) // stride)), min(high, (left - least) // stride)
        waiting += [(position + 1, left - n * stride) for n in range(first, last + 1)]
    return True
