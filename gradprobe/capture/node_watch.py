"""How large each node's gradients are: hooks on every node of one backward.

Dear in comparison with stages (a reduction for each gradient), so that it is done only where it was
asked for. A node is looked at closer while it runs if it makes zeros or what is not finite: what it
had saved in the forward is freed as soon as the pass is over.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from gradprobe.capture.journal import Journal
from gradprobe.capture.shift import Shift
from gradprobe.capture.torch_internals import aside, sequence_number
from gradprobe.capture.value_stats import on_host
from gradprobe.capture.witnesses import largest, magnitude, witness
from gradprobe.records.numerics import NOWHERE, NodeNumbers, NodeRun, Witness, leaf_target

_BOUND = 30_000  # nodes of a pass: torch 2.13 crashes past some 45 000 (see graph_walk)
_MOST_WITNESSES = 64
_ACCUMULATES = 1 << 62  # nodes of leaves are numbered past all others

Gradients = tuple[Tensor | None, ...]


@dataclass(slots=True)
class _Node:
    """One node while its pass runs."""

    name: str
    op: int
    targets: tuple[int, ...]
    order: int = -1
    came: float | None = None
    went: list[float | None] = field(default_factory=list)
    dtypes: tuple[str | None, ...] = ()
    witness: Witness | None = None
    # What a device still holds, before it becomes `came` and `went`.
    pending: list[tuple[int, Tensor]] = field(default_factory=list)


class NodeWatch:
    """Measures the nodes of one pass at a time."""

    def __init__(self, journal: Journal, bound: int = _BOUND) -> None:
        self.journal = journal
        self.bound = bound
        self._nodes: list[_Node] = []
        self._wrapped: list[Any] = []  # not in the hooks: a node would keep itself alive
        self._ran = 0
        self._witnesses = 0
        self._complete = True

    def begin(self, roots: Sequence[Tensor]) -> list[Any]:
        """Hook every node below the roots, up to a bound; returns the handles."""
        self._nodes, self._wrapped = [], []
        self._ran = self._witnesses = 0
        self._complete = True
        numbers: dict[int, int] = {}  # by id(), which holds while the wrappers are kept
        for tensor in roots:
            if tensor.grad_fn is not None:
                self._number(tensor.grad_fn, numbers)
        handles = []
        for node in self._wrapped:  # grows as targets are found
            targets = tuple(
                self._target(following, numbers) for following, _ in node.next_functions
            )
            one = _Node(node.name(), self._op_of(node), targets)
            handles.append(node.register_hook(self._measuring(one, len(self._nodes))))
            self._nodes.append(one)
        return handles

    def finished(self) -> NodeNumbers:
        """The numbers of the pass that ran since `begin`; a device is waited for here, once."""
        pending = [tensor for one in self._nodes for _, tensor in one.pending]
        _arrive(self._nodes, on_host(pending))
        nodes = tuple(
            NodeRun(n.name, n.op, n.targets, n.order, n.came, tuple(n.went), n.dtypes, n.witness)
            for n in self._nodes
        )
        self._nodes, self._wrapped = [], []
        return NodeNumbers(nodes, self._complete)

    def _number(self, node: Any, numbers: dict[int, int]) -> int:
        known = numbers.get(id(node))
        if known is None:
            if len(self._wrapped) >= self.bound:
                self._complete = False
                return NOWHERE
            known = numbers[id(node)] = len(self._wrapped)
            self._wrapped.append(node)
        return known

    def _target(self, node: Any, numbers: dict[int, int]) -> int:
        if node is None:
            return NOWHERE
        if sequence_number(node) < _ACCUMULATES:
            return self._number(node, numbers)
        variable = getattr(node, "variable", None)
        ref = None if variable is None else self.journal.identity.table.get(id(variable))
        return NOWHERE if ref is None else leaf_target(ref.value)

    def _op_of(self, node: Any) -> int:
        """The op that made a node: the first after which the counter had passed its number."""
        op = bisect_right(self.journal.sequence, sequence_number(node))
        return op if op < len(self.journal.head) else -1

    def _measuring(self, one: _Node, position: int) -> Callable[[Gradients, Gradients], None]:
        def ran(gave: Gradients, came: Gradients) -> None:
            with aside():
                self._measure(one, gave, came)
                if self._matters(one):
                    node = self._wrapped[position] if position < len(self._wrapped) else None
                    one.witness = witness(node, one.went, gave, came)

        return ran

    def _measure(self, one: _Node, gave: Gradients, came: Gradients) -> None:
        one.order = self._ran
        self._ran += 1
        one.went = [None] * len(gave)
        one.dtypes = tuple(g if g is None else str(g.dtype).removeprefix("torch.") for g in gave)
        for edge, grad in enumerate(gave):
            found = None if grad is None else magnitude(grad)
            if isinstance(found, Tensor):
                one.pending.append((edge, found))
            else:
                one.went[edge] = found
        for grad in came:
            found = None if grad is None else magnitude(grad)
            if isinstance(found, Tensor):
                one.pending.append((-1, found))
            elif found is not None:
                one.came = found if one.came is None else worse(one.came, found)

    def _matters(self, one: _Node) -> bool:
        """Whether what came in was sound, and what went on was not."""
        if one.came is None or not 0 < one.came < math.inf or self._witnesses >= _MOST_WITNESSES:
            return False
        bad = any(n is not None and not 0 < n < math.inf for n in one.went)
        self._witnesses += bad
        return bad


def renumbered_nodes(numbers: NodeNumbers, shift: Shift) -> NodeNumbers:
    """The same nodes where ops and leaves have other numbers."""
    nodes = (
        replace(
            node,
            op=shift.op(node.op) if node.op >= 0 else -1,
            targets=tuple(
                leaf_target(shift.value(leaf_target(t))) if t < NOWHERE else t for t in node.targets
            ),
        )
        for node in numbers.nodes
    )
    return NodeNumbers(tuple(nodes), numbers.complete)


def worse(one: float, other: float) -> float:
    """The larger of two magnitudes; NaN if one is."""
    return math.nan if math.isnan(one) or math.isnan(other) else max(one, other)


def _arrive(nodes: Sequence[_Node], numbers: Mapping[int, list[float]]) -> None:
    """Fill in what the devices held."""
    for one in nodes:
        for edge, held in one.pending:
            low, high = numbers[id(held)]
            number = largest(low, high)
            if edge >= 0:
                one.went[edge] = number
            else:
                one.came = number if one.came is None else worse(one.came, number)
