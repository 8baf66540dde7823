"""Which write spoiled a tensor that an op had kept for its backward."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import prod

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import has_history
from gradprobe.graph.saves import keeps_input, keeps_result, node_of
from gradprobe.records.op import GRAD_OFF, INSIDE_FUNCTION, UNCOUNTED, Kind
from gradprobe.records.tensor import REQUIRES_GRAD

_SHARES = frozenset({Kind.VIEW, Kind.DETACH, Kind.CAST, Kind.SELECT})
_NO_WRITE = frozenset({Kind.VIEW, Kind.DETACH, Kind.CAST, Kind.PARAMETER})
# Nodes of views, and of writes to a part of a tensor.
_OF_VIEWS = frozenset(
    {"t", "transpose", "permute", "view", "unsafeview", "reshapealias", "asstrided", "alias"}
    | {"expand", "squeeze", "unsqueeze", "slice", "select", "split", "chunk", "unbind"}
    | {"diagonal", "unfold", "viewasreal", "viewascomplex", "copyslices"}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What torch said of the kept tensor. `node` made it, in lower case; None: it has no history.

    Its version counter stood at `expected` when it was kept and at `found` when it was needed.
    """

    dtype: str
    shape: tuple[int, ...]
    node: str | None
    found: int
    expected: int


@dataclass(frozen=True, slots=True)
class Spoiled:
    """`write` changed `kept`, which `saver` had kept; `later` are the writes that followed it.

    `rank`: the lower, the better does it fit.
    """

    write: int
    written: int  # the value that was replaced
    saver: int
    kept: int
    later: tuple[int, ...]
    rank: tuple[int, ...]


def spoiled(data: Dataflow, wanted: Wanted, feeding: Collection[int], until: int) -> list[Spoiled]:
    """Every pair of a write before op `until` and a saver that fits, best first.

    Backward meets the op that ran last first: of equals, the latest saver stands first.
    """
    search = _Search(data, wanted, feeding, until)
    return sorted(search.found(), key=lambda s: (s.rank, -s.saver, s.write))


class _Search:
    def __init__(
        self, data: Dataflow, wanted: Wanted, feeding: Collection[int], until: int
    ) -> None:
        self.data = data
        self.wanted = wanted
        self.feeding = feeding
        self.version: dict[int, int] = {}
        self.next: dict[int, int] = {}  # value -> the one that took its place
        rewrites, at = data.trace.rewrites, data.trace.values.at
        for value, before, version in zip(
            rewrites.value, rewrites.before, rewrites.version, strict=True
        ):
            if version >= 0 and at[value] < until:
                self.version[value] = version
                self.next[before] = value
        self.users: dict[int, list[int]] = {}
        for op in range(until):
            for value in data.inputs(op):
                self.users.setdefault(value, []).append(op)

    def found(self) -> Iterator[Spoiled]:
        for before, value in self.next.items():
            if not self._spoils(before, value):
                continue
            later = list(self._after(value))
            writes = list(dict.fromkeys(self._write(v) for v in (value, *later)))
            exact = self.version[later[-1] if later else value] == self.wanted.found
            for kept in self._sharing(before, writes[0]):
                for saver, sure in self._savers(kept, writes[0]):
                    rank = (not exact, not self._is_shape(kept), not sure)
                    yield Spoiled(
                        writes[0],
                        before,
                        saver,
                        kept,
                        tuple(writes[1:]),
                        tuple(int(worse) for worse in rank),
                    )

    def _spoils(self, before: int, value: int) -> bool:
        """Whether this write took the version counter past the number that was expected."""
        kind = self.data.trace.ops.callee_of(self.data.trace.values.at[value]).kind
        known = self.version.get(before, 0)
        return kind not in _NO_WRITE and known <= self.wanted.expected < self.version[value]

    def _after(self, value: int) -> Iterator[int]:
        version = self.version[value]
        while value in self.next:
            value = self.next[value]
            if self.version[value] > version:  # a write through `.data` is not counted
                version = self.version[value]
                yield value

    def _write(self, value: int) -> int:
        """The op that wrote: of an alias, the one that wrote the tensor it shares memory with."""
        trace = self.data.trace
        op = trace.values.at[value]
        if trace.ops.callee_of(op).kind is Kind.ALIAS:
            return trace.values.at[trace.ops.inputs_of(op)[1]]
        return op

    def _sharing(self, value: int, until: int) -> Iterator[int]:
        """`value` and what may be views of the same memory, of the wanted dtype and size."""
        ops = self.data.trace.ops
        seen, waiting = {value}, [value]
        while waiting:
            current = waiting.pop()
            if self._fits(current):
                yield current
            near = []
            made = self.data.trace.values.at[current]
            if made >= 0 and self._shares(made):
                near += list(ops.inputs_of(made)[:1])
            for op in self.users.get(current, ()):
                first = ops.inputs_of(op)[:1]
                if op < until and self._shares(op) and current in first:
                    near += list(ops.outputs_of(op))
            new = [v for v in near if v not in seen]
            seen.update(new)
            waiting += new

    def _shares(self, op: int) -> bool:
        """Whether the result may lie on the input's memory and have its version counter."""
        ops = self.data.trace.ops
        callee = ops.callee_of(op)
        if callee.kind is Kind.ALIAS:  # the same tensor, after a write that it did not count
            return bool(ops.flags_of(op) & UNCOUNTED)
        return callee.kind in _SHARES and callee.name != "Tensor.data"

    def _is_shape(self, value: int) -> bool:
        return self.data.trace.values.describe(value).shape == self.wanted.shape

    def _fits(self, value: int) -> bool:
        """Of a matrix an op may keep the transposed: the number of elements is all that counts."""
        meta = self.data.trace.values.describe(value)
        return meta.dtype == self.wanted.dtype and prod(meta.shape) == prod(self.wanted.shape)

    def _savers(self, kept: int, until: int) -> Iterator[tuple[int, bool]]:
        """The ops that kept it, each with whether that is sure."""
        trace = self.data.trace
        made = trace.values.at[kept]
        if made >= 0 and self._records(made) and self._names(kept):
            keeps = keeps_result(trace, made)
            if keeps is not False:
                yield made, bool(keeps)
        # Of an input torch names the node that it has by now, of a result the one that kept it.
        if not self._names(self._last(kept)):
            return
        for op in self.users.get(kept, ()):
            if op < until and self._records(op):
                keeps = keeps_input(trace, op, self.data.inputs(op), kept)
                if keeps is not False:
                    yield op, bool(keeps)

    def _last(self, value: int) -> int:
        while value in self.next:
            value = self.next[value]
        return value

    def _names(self, value: int) -> bool:
        """Whether the node that torch named may be this value's."""
        trace, node = self.data.trace, self.wanted.node
        if node is None:
            return not has_history(self.data, value)
        if not trace.values.has(value, REQUIRES_GRAD):
            return False
        if node in _OF_VIEWS:  # perhaps of a view that the saver made for itself, of a leaf too
            return True
        made = trace.values.at[value]
        told = made >= 0 and not trace.ops.flags_of(made) & GRAD_OFF
        known = node_of(trace.ops.callee_of(made).name) if told else None
        return has_history(self.data, value) and known in (None, node)

    def _records(self, op: int) -> bool:
        """Whether autograd made a node of it that the backward comes by."""
        trace = self.data.trace
        return not trace.ops.flags_of(op) & (GRAD_OFF | INSIDE_FUNCTION) and any(
            v in self.feeding and trace.values.has(v, REQUIRES_GRAD) for v in self.data.outputs(op)
        )
