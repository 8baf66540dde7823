"""Where, among the nodes of one pass, a gradient became zero or stopped being finite.

Only nodes from which a way leads to the leaf count. A gradient that is infinite or NaN is *born* at
a node that took a finite one; a gradient *ends* at a node that took one which is not zero, gave
zeros, and nothing else came to where they went.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gradprobe.records.numerics import NOWHERE, NodeNumbers, NodeRun, leaf_target


@dataclass(frozen=True, slots=True)
class Turn:
    """A gradient on its way: node number `node` took it sound, and gave it on otherwise."""

    node: NodeRun
    edge: int

    @property
    def came(self) -> float:
        return self.node.came or 0.0

    @property
    def went(self) -> float:
        went = self.node.went[self.edge]
        return math.nan if went is None else went

    @property
    def dtype(self) -> str:
        return self.node.dtypes[self.edge] or "unknown"


class NodeFlow:
    """The nodes of a pass as seen from one leaf."""

    def __init__(self, numbers: NodeNumbers, leaf: Collection[int]) -> None:
        self._nodes = numbers.nodes
        self._ends = {leaf_target(value) for value in leaf}
        self._leading = self._towards_leaf()

    def births(self) -> list[Turn]:
        """Gradients that stopped being finite, in the order in which they did."""
        return self._ordered(
            Turn(node, edge)
            for node in self._ran()
            if node.came is not None and math.isfinite(node.came)
            for edge, went in enumerate(node.went)
            if went is not None and not math.isfinite(went) and self._leads(node.targets[edge])
        )

    def ends(self) -> list[Turn]:
        """Gradients that became all zero, in that order."""
        return self._ordered(
            Turn(node, edge)
            for node in self._ran()
            if node.came
            for edge, went in enumerate(node.went)
            if went == 0 and self._dead(node.targets[edge])
        )

    def lost_between(self) -> list[Turn]:
        """Gradients that were given on, and came to a node as zeros.

        A hook changed them, or several came together and cancelled.
        """
        return self._ordered(
            Turn(node, edge)
            for node in self._ran()
            for edge, went in enumerate(node.went)
            if went and math.isfinite(went) and self._dead(node.targets[edge], node=True)
        )

    def _ran(self) -> Iterator[NodeRun]:
        return (self._nodes[n] for n in self._leading if self._nodes[n].order >= 0)

    def _leads(self, target: int) -> bool:
        return target in self._leading or target in self._ends

    def _dead(self, target: int, *, node: bool = False) -> bool:
        """Whether nothing but zeros came to a target on the way to the leaf."""
        if target in self._ends:
            return not node
        return target in self._leading and self._nodes[target].came == 0

    def _towards_leaf(self) -> set[int]:
        """The nodes from which a way leads to the leaf."""
        takers: dict[int, list[int]] = {}
        for number, node in enumerate(self._nodes):
            for target in node.targets:
                if target != NOWHERE:
                    takers.setdefault(target, []).append(number)
        found: set[int] = set()
        waiting = [n for end in self._ends for n in takers.get(end, ())]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting.extend(takers.get(number, ()))
        return found

    @staticmethod
    def _ordered(turns: Iterator[Turn]) -> list[Turn]:
        return sorted(turns, key=lambda turn: (turn.node.order, turn.edge))
