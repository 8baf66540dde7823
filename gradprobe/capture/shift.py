"""What becomes of numbers when the records of one iteration are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from gradprobe.records.backward import RaisedOp

_KEPT = 256  # numbers, and lists, that left in an earlier iteration

_Key = TypeVar("_Key")
_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a run: how many ops, values and stages there were."""

    op: int
    value: int
    moment: int


START = Point(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Shift:
    """All from `first` to `last` is gone; what came later moves down.

    A value of the stretch that is still referred to becomes its twin: the value that an iteration
    which is kept made in the same way. So its lineage stays, and the lines in it are real ones.
    """

    first: Point
    last: Point
    twin: Callable[[int], int]

    def gone(self, op: int) -> bool:
        """Whether the op is forgotten, or what happened just before it."""
        return self.first.op <= op < self.last.op

    def op(self, op: int) -> int:
        """The number that an op has now; of one that is gone, that of the first one after it."""
        if op < self.first.op:
            return op
        return max(op - (self.last.op - self.first.op), self.first.op)

    def made(self, value: int) -> bool:
        """Whether a value was made in the stretch."""
        return self.first.value <= value < self.last.value

    def value(self, value: int) -> int:
        if value < self.first.value:
            return value
        if value >= self.last.value:
            return value - (self.last.value - self.first.value)
        return self.twin(value)

    def values(self, values: Iterable[int]) -> tuple[int, ...]:
        """All of them, as `value` gives each; written out, as it is asked of each call's."""
        first, last, twin = self.first.value, self.last.value, self.twin
        down = last - first
        return tuple([v if v < first else v - down if v >= last else twin(v) for v in values])

    def raised(self, op: RaisedOp) -> RaisedOp:
        return replace(
            op,
            at_op=self.op(op.at_op),
            inputs=self.values(op.inputs),
            inference=self.values(op.inference),
        )


class Forgetful(Protocol):
    """Whoever holds numbers of ops or values: an entry of `Iterations.watchers`.

    It drops what happened at ops that are `gone`, and renumbers the rest by `op` and `value`.
    """

    def forget(self, shift: Shift) -> None: ...


def without(handles: Iterable[tuple[int, Any]], shift: Shift) -> list[tuple[int, Any]]:
    """The handles of hooks, each with the op at which it was made: those of the stretch removed."""
    first = shift.first.op
    kept = []
    for entry in handles:
        op, handle = entry
        if op < first:
            kept.append(entry)
        elif shift.gone(op):
            handle.remove()
        else:
            kept.append((shift.op(op), handle))
    return kept


def newest(entries: dict[_Key, _Entry], young: Sequence[bool]) -> dict[_Key, _Entry]:
    """Those of the present, and of those before the newest: most are never asked for again."""
    old = len(entries) - sum(young)
    kept = {}
    for (key, entry), is_young in zip(entries.items(), young, strict=True):
        if is_young or old <= _KEPT:
            kept[key] = entry
        old -= not is_young
    return kept
