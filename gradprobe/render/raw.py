"""The autograd graph as torchviz wrote it, if dot can lay it out at all."""

from __future__ import annotations

import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

from gradprobe.errors import TooLarge, UsageError
from gradprobe.records.report import Report

MOST_NODES = 600
# An arrow over many ranks is a chain of hidden nodes to dot. One parameter that every step uses
# makes tens of thousands; this many take it about 20 seconds.
MOST_SPANNED = 40_000
_NODE = re.compile(r"^\s*\"?(\w+)\"? \[", re.MULTILINE)
_ARROW = re.compile(r"^\s*\"?(\w+)\"? -> \"?(\w+)\"?", re.MULTILINE)
_DEFAULTS = {"graph", "node", "edge"}


def raw_dot(report: Report) -> str:
    """The report's autograd graph in DOT.

    Raises `UsageError` if the trace was not asked for it, `TooLarge` if dot could not finish it.
    """
    dot = report.autograd_dot
    if dot is None:
        raise UsageError("this report holds no autograd graph: trace again with --raw")
    nodes = len(set(_NODE.findall(dot)) - _DEFAULTS)
    instead = "leave out --raw for the bounded picture, or trace fewer steps"
    if nodes > MOST_NODES:
        raise TooLarge(
            f"the autograd graph has {nodes} nodes, dot can lay out {MOST_NODES}: {instead}"
        )
    if _spanned(_ARROW.findall(dot)) > MOST_SPANNED:
        raise TooLarge(
            f"the autograd graph has {nodes} nodes, and leaves shared by so many of them that dot "
            f"cannot lay it out: {instead}"
        )
    # A bound on the search for the best ranks: looks the same, and takes seconds, not minutes.
    return dot.replace("{", "{\n\tgraph [nslimit=1]", 1)


def _spanned(arrows: list[tuple[str, str]]) -> int:
    """How many ranks all arrows cross together; 0 for a graph that is no autograd graph."""
    tails = defaultdict(set)
    for tail, head in arrows:
        tails[head].add(tail)
    ranks: dict[str, int] = defaultdict(int)
    try:
        for node in TopologicalSorter(tails).static_order():
            ranks[node] = max((ranks[tail] + 1 for tail in tails.get(node, ())), default=0)
    except CycleError:
        return 0
    return sum(ranks[head] - ranks[tail] for tail, head in arrows)
