"""Nodes of a deep graph that were wrapped as Python objects, freed one after another.

A node of torch 2.13 that was once wrapped keeps its wrapper, and is freed by it. So each node of a
chain is freed inside of the one above, and some 45 000 of them overflow the stack of C when the
loss dies. Here each node holds the next ones in an entry of its `metadata` until it is gone itself,
and then leaves them to one loop for all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

# Below that many nodes nothing is put on them; a thread's stack may be an eighth of the main one's.
FEW = 1_000
_ENTRY = "gradprobe"


class _Waiting(threading.local):
    """Nodes that are to be let go in this thread, and whether a loop is at it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.emptied = False


_WAITING = _Waiting()


class _Hold:
    """Keeps nodes until the one in whose `metadata` it stands has died."""

    __slots__ = ("_nodes", "_waiting")

    def __init__(self, nodes: list[Any]) -> None:
        self._nodes = nodes
        self._waiting = _WAITING  # its own: at the end of Python a module's names may be gone

    def __del__(self) -> None:
        waiting = self._waiting
        waiting.nodes += self._nodes
        self._nodes.clear()
        if waiting.emptied:
            return  # a loop further out goes on with them
        waiting.emptied = True
        try:
            while waiting.nodes:
                waiting.nodes.pop()
        finally:
            waiting.emptied = False


def free_one_by_one(nodes: Sequence[Any]) -> None:
    """Make it safe to free the graph of these wrapped nodes; nothing is done where they are few.

    A node then has an entry `gradprobe` in its `metadata`, which backward never reads. It holds
    what the node itself holds, as long as the node lives.
    """
    if len(nodes) <= FEW:
        return
    for node in nodes:
        following = [other for other, _ in node.next_functions if other is not None]
        if following and _ENTRY not in node.metadata:
            node.metadata[_ENTRY] = _Hold(following)
