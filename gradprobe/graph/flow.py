"""Where one leaf's values go on their way to one root, and where its gradient does not follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradprobe.graph.dataflow import Dataflow
from gradprobe.records.op import GRAD_OFF, UNTRACKED, Kind
from gradprobe.records.sampling import LeafMark
from gradprobe.records.tensor import LEAF, REQUIRES_GRAD


@dataclass(frozen=True, slots=True)
class Cut:
    """An op that takes a value that gradient can leave, and gives one that it cannot.

    `op` is -1 where host data came back without an op that was seen; `source` is the connected
    input, `result` the disconnected output.
    """

    op: int
    source: int
    result: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The part of the dataflow between a leaf and a root, with what is known of each value.

    All sets hold values. `between` is every value on a path from leaf to root, `connected` those
    of them from which gradient reaches the leaf; `feeding` all that feeds the root at all.
    """

    leaf: LeafMark
    roots: tuple[int, ...]
    ops: Sequence[int]  # those on a path, in order
    between: frozenset[int]
    connected: frozenset[int]
    feeding: frozenset[int]
    cuts: tuple[Cut, ...]
    users: Mapping[int, Sequence[int]]  # of each value between, the ops on the way that take it

    @property
    def used(self) -> bool:
        """Whether the leaf's values reach the root at all."""
        return any(root in self.between for root in self.roots)

    @property
    def reaches(self) -> bool:
        """Whether some autograd path from root to leaf exists."""
        return any(root in self.connected for root in self.roots)


def flow(
    data: Dataflow,
    leaf: LeafMark,
    sources: frozenset[int],
    roots: tuple[int, ...],
    *,
    of_values: bool = False,
) -> Flow:
    """Follow the values `sources` (the leaf's, in all its versions) to `roots`.

    The walk back from the root stops at the leaf: what an earlier iteration did to the leaf's
    values (an optimiser's step) is not part of the way. Where only the flow `of_values` is asked
    for, nothing is said of gradient: no value is `connected`, and there are no `cuts`.
    """
    feeding, ops = feeding_of(data, sources, roots)
    return _forward(data, leaf, sources, roots, feeding, sorted(ops), of_values)


def feeding_of(
    data: Dataflow,
    sources: frozenset[int],
    roots: Sequence[int],
    inputs_of: Callable[[int, int], Iterable[int]] | None = None,
) -> tuple[set[int], set[int]]:
    """The values that feed the roots, back to `sources`, and the ops that made them.

    `inputs_of` says of a value and its op from which inputs it is to be followed; all by default.
    """
    feeding: set[int] = set()
    ops: set[int] = set()
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if value in feeding:
            continue
        feeding.add(value)
        if value in sources:
            continue
        returned = data.suspected.get(value)
        if returned is not None:
            waiting.append(data.trace.exits[returned.exit].value)
        op = data.producer[value]
        if op >= 0:
            ops.add(op)
            waiting.extend(data.inputs(op) if inputs_of is None else inputs_of(value, op))
    return feeding, ops


def _forward(
    data: Dataflow,
    leaf: LeafMark,
    sources: frozenset[int],
    roots: tuple[int, ...],
    feeding: set[int],
    ops: list[int],
    of_values: bool,
) -> Flow:
    flags = data.trace.values.flags
    between = {value for value in sources if value in feeding}
    connected = {v for v in between if flags[v] & REQUIRES_GRAD and not of_values}
    between_ops: list[int] = []
    cuts: list[Cut] = []
    users: dict[int, list[int]] = {}
    late = sorted((r.op, r.exit, value) for value, r in data.suspected.items() if value in feeding)
    for op in ops:
        while late and late[0][0] <= op:
            _, exit, value = late.pop(0)
            _came_back(data, exit, value, between, connected, cuts)
        inputs = data.inputs(op)
        from_leaf = [value for value in inputs if value in between]
        if not from_leaf:
            continue
        between_ops.append(op)
        for value in dict.fromkeys(from_leaf):
            users.setdefault(value, []).append(op)
        if of_values and op not in data.functions:
            between.update(v for v in data.outputs(op) if v in feeding and v not in sources)
            continue
        carrying = carriers(data, op, from_leaf)
        live = next((value for value in carrying if value in connected), None)
        alive_before = [value for value in from_leaf if value in connected]
        missed = _missed(data, op, carrying, alive_before)
        for value in data.outputs(op):
            if value not in feeding or value in sources:
                continue
            between.add(value)
            if live is not None and has_history(data, value):
                connected.add(value)
                if missed is not None:
                    cuts.append(Cut(op, missed, value))
            elif alive_before:
                cuts.append(Cut(op, alive_before[0], value))
        if op in data.functions:
            _escaped(data, op, feeding, between)
    while late:
        _, exit, value = late.pop(0)
        _came_back(data, exit, value, between, connected, cuts)
    return Flow(
        leaf,
        roots,
        tuple(between_ops),
        frozenset(between),
        frozenset(connected),
        frozenset(feeding),
        tuple(cuts),
        users,
    )


def has_history(data: Dataflow, value: int) -> bool:
    """Whether autograd knows what a value was made from. A leaf has no history, whatever it was."""
    return data.trace.values.flags[value] & (REQUIRES_GRAD | LEAF) == REQUIRES_GRAD


def carriers(data: Dataflow, op: int, inputs: Sequence[int]) -> Sequence[int]:
    """Those of an op's inputs to which gradient of its results goes: of a Function, its arguments.

    A write that autograd did not follow leaves the history of what was written as it stood.
    """
    call = data.functions.get(op)
    if call is not None:
        return [v for v in inputs if v in call.explicit and v not in call.none_for]
    ops = data.trace.ops
    if not ops.flags_of(op) & (GRAD_OFF | UNTRACKED):
        return inputs
    if ops.callee_of(op).kind not in (Kind.WRITE, Kind.ALIAS):
        return []
    written = ops.inputs_of(op)[0]
    return [v for v in inputs if v == written]


def _missed(data: Dataflow, op: int, carrying: Sequence[int], alive: list[int]) -> int | None:
    """An input whose part in the result autograd does not know of, though the result is live."""
    if op in data.functions or not alive:
        return None
    flags = data.trace.ops.flags_of(op)
    lost = next((value for value in alive if value not in carrying), None)
    # With recording off, what was written is not what its history says either.
    return alive[0] if lost is None and flags & GRAD_OFF else lost


def _escaped(data: Dataflow, op: int, feeding: set[int], between: set[int]) -> None:
    """Values made inside a Function's forward that the program kept by another way."""
    call = data.functions[op]
    for inner in range(call.inner_from, op):
        between.update(v for v in data.trace.ops.outputs_of(inner) if v in feeding)


def _came_back(
    data: Dataflow,
    exit: int,
    value: int,
    between: set[int],
    connected: set[int],
    cuts: list[Cut],
) -> None:
    left = data.trace.exits[exit].value
    if left in between and value not in between:
        between.add(value)
        if left in connected:
            cuts.append(Cut(-1, left, value))
