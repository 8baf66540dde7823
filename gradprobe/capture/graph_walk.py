"""Walking grad_fn: how large the autograd graph is that a backward starts on.

torch 2.13 crashes when a chain deeper than some 45 000 nodes is freed after each of its nodes was
wrapped as a Python object, and walking wraps. So all walks of graphs that may hang together
share a bound well below it; what was cut off is said, never guessed.
"""

from __future__ import annotations

import sys
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

from torch import Tensor

from gradprobe.capture.graph_path import GraphPath
from gradprobe.capture.torch_internals import sequence_number

BOUND = 16_000


class GraphWalk:
    """Goes through nodes below given tensors, iteratively; all walks together within a bound."""

    def __init__(self, bound: int = BOUND) -> None:
        self.bound = bound
        self.left = bound
        self.cut_off = False

    def renew(self) -> None:
        """What was walked so far hangs together with nothing that is to come."""
        self.left = self.bound
        self.cut_off = False

    def count(self, roots: Sequence[Tensor]) -> tuple[int | None, int | None]:
        """(nodes, edges) reachable through `next_functions`, or (None, None) past the bound."""
        waiting: list[Any] = [t.grad_fn for t in roots if t.grad_fn is not None]
        seen: set[tuple[int, str, int]] = set()
        edges = 0
        while waiting:
            node = waiting.pop()
            # AccumulateGrad nodes all carry the highest number: they are told apart by identity,
            # which holds because the graph keeps them alive.
            name = node.name()
            into = _accumulates_into(node) if name.endswith("AccumulateGrad") else 0
            mark = (sequence_number(node), name, into)
            if mark in seen:
                continue
            seen.add(mark)
            self.left -= 1
            if self.left <= 0:
                self.cut_off = True
                return None, None
            for following, _ in node.next_functions:
                if following is not None:
                    edges += 1
                    waiting.append(following)
        return len(seen), edges

    def find(
        self,
        roots: Sequence[Tensor],
        numbers: Collection[int],
        inside: Sequence[tuple[int, int]],
        origin: dict[int, tuple[int, int]],
    ) -> list[tuple[int, Any]]:
        """The nodes below `roots` that were made as these numbers, each with its number.

        From the newest to the oldest, and first past the stretches `[from, to)` of numbers that
        `inside` gives: a denoiser's own nodes are many, and are gone through only if a number is
        still missing. `origin` is told from where each node was reached; see `graph_path`.
        """
        heap: list[tuple[bool, int, int, Any]] = []
        missing = set(numbers)
        found: list[tuple[int, Any]] = []
        starts = [first for first, _ in inside]

        def enter(node: Any, before: int, edge: int) -> None:
            number = sequence_number(node)
            if number in origin or number > _ACCUMULATES:
                return
            origin[number] = before, edge
            position = bisect_right(starts, number) - 1
            deep = position >= 0 and number < inside[position][1]
            heappush(heap, (deep and number not in missing, -number, len(origin), node))

        for place, tensor in enumerate(roots):
            if tensor.grad_fn is not None:
                enter(tensor.grad_fn, -1, place)
        while heap and missing:
            if self.left <= 0:
                self.cut_off = True
                break
            self.left -= 1
            _, below, _, node = heappop(heap)
            number = -below
            if number in missing:
                missing.discard(number)
                found.append((number, node))
            for edge, (following, _) in enumerate(node.next_functions):
                if following is not None:
                    enter(following, number, edge)
        return found

    def follow(
        self, roots: Sequence[Tensor], path: GraphPath, base: int
    ) -> list[tuple[int, Any]] | None:
        """What `find` found in a graph that was built alike; None where it has to be asked."""
        if self.left <= len(path.steps):
            return None
        self.left -= len(path.steps)
        return path.follow(roots, base)


_ACCUMULATES = 1 << 62  # nodes of leaves are numbered past all others
_BEHIND = 2_000


def behind(node: Any, last: int) -> Iterator[Tensor | int]:
    """What a tensor of unseen origin was made of, found through its grad_fn.

    `last` is the node counter after the last op that was seen: nodes from there on are the unseen
    code's, and those before belong to ops that were seen. Yields leaves, and sequence numbers of
    seen nodes. If other ops were seen since the tensor was made, the counter cannot tell them from
    the unseen code's nodes, and only leaves are given. Visits a bounded number of nodes.
    """
    if node is None:
        return
    fresh = sequence_number(node) >= last
    waiting, visited = [node], 0
    seen: set[Any] = set()
    while waiting and visited < _BEHIND:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        visited += 1
        variable = getattr(current, "variable", None)
        if isinstance(variable, Tensor):
            yield variable
        elif fresh and sequence_number(current) < last:
            yield sequence_number(current)
        else:
            waiting.extend(following for following, _ in current.next_functions if following)


def _accumulates_into(node: Any) -> int:
    variable = getattr(node, "variable", None)
    return id(variable) if variable is not None else 0


def raw_graph(root: Tensor, nodes: int | None) -> str | None:
    """The autograd graph as it stands, drawn by torchviz, in DOT; None past what it can draw.

    torchviz recurses, once a node in depth.
    """
    if nodes is None or nodes > sys.getrecursionlimit() // 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchviz's own; under -W error they would end the program
        from torchviz import make_dot

        return str(make_dot(root).source)
