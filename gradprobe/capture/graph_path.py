"""The way to nodes that a search of a graph has found, for later graphs that were built alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradprobe.capture.torch_internals import sequence_number

# By a node's number: that of the node before it, -1 before a root; and by which edge, or root.
Origin = Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class GraphPath:
    """`steps` go on from an earlier step, or from a root (-1), by an edge; `ends` are those steps
    that reach a wanted node, each with its number counted from a base.
    """

    steps: tuple[tuple[int, int], ...]
    ends: tuple[tuple[int, int], ...]

    def follow(self, roots: Sequence[Tensor], base: int) -> list[tuple[int, Any]] | None:
        """The wanted nodes, each with its number; None if the graph is another one."""
        nodes: list[Any] = []
        try:
            for before, edge in self.steps:
                if before < 0:
                    nodes.append(roots[edge].grad_fn)
                else:
                    nodes.append(nodes[before].next_functions[edge][0])
            found = [(base + number, nodes[step]) for step, number in self.ends]
            alike = all(sequence_number(node) == number for number, node in found)
        except (AttributeError, IndexError):  # fewer edges, or none that leads on
            return None
        return found if alike else None


def path_to(numbers: Collection[int], origin: Origin, base: int) -> GraphPath:
    """Of all the ways that `origin` tells, those to the nodes of these numbers."""
    steps: list[tuple[int, int]] = []
    at: dict[int, int] = {-1: -1}
    for number in numbers:
        new = []
        while number not in at:
            new.append(number)
            number = origin[number][0]
        for one in reversed(new):
            before, edge = origin[one]
            at[one] = len(steps)
            steps.append((at[before], edge))
    return GraphPath(tuple(steps), tuple((at[number], number - base) for number in numbers))
