"""Where the stages of a turn were found, for later turns that run in the same way.

To find stages, all that was recorded is read. A loop does so at each of its backward passes, mostly
to the same answer; whether a turn ran as an earlier one did is told from its own few rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import torch

from gradprobe.capture.graph_path import GraphPath
from gradprobe.capture.shelf import Layout
from gradprobe.capture.shift import START, Point
from gradprobe.capture.torch_internals import node_counter
from gradprobe.records.norms import StageKey

if TYPE_CHECKING:
    from gradprobe.capture.recorder import Recorder

_MOST = 16  # ways to run that are remembered
_LEAVES = 12  # of the newest: no more are asked for their stages


@dataclass(frozen=True, slots=True)
class Sought:
    """A stage whose node is to be found: made by `op` as output `position`, of this shape."""

    op: int
    value: int
    position: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    key: StageKey | None = None


@dataclass(slots=True)
class Places:
    """What to look for in a graph, and the denoiser's stretches `[from, to)` of ops in it.

    Ops and values are counted from `begin`.
    """

    sought: tuple[Sought, ...]
    inside: tuple[tuple[int, int], ...]
    begin: Point = START
    # Nodes and edges of the whole graph; None until they were counted.
    size: tuple[int, int] | None = None
    # To the nodes that were hooked last.
    path: GraphPath | None = None
    # Modules whose results are all among what is sought; None before a turn like this one.
    modules: frozenset[int] | None = None

    @property
    def elements(self) -> int:
        """Of all gradients together."""
        return sum(prod(sought.shape) for sought in self.sought)

    @property
    def layout(self) -> Layout:
        """Of the gradients."""
        return tuple((sought.shape, sought.dtype) for sought in self.sought)

    def from_point(self, point: Point) -> Places:
        """The same, counted from another point."""
        ops, values = point.op - self.begin.op, point.value - self.begin.value
        return Places(
            tuple(replace(s, op=s.op - ops, value=s.value - values) for s in self.sought),
            tuple((first - ops, last - ops) for first, last in self.inside),
            point,
        )


class Recall:
    """Remembers places by how a turn ran, counted from where it began."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._known: dict[Hashable, Places] = {}

    def key(self) -> Hashable:
        """All that tells how the turn ran that ends with the pass that begins now."""
        recorder, journal = self.recorder, self.recorder.journal
        begin = recorder.iterations.begin
        a, base = begin.op, begin.value

        def near(values: Sequence[int]) -> tuple[int, ...]:
            return tuple([v - base if v >= base else -1 for v in values])

        first = journal.sequence[a] if a < len(journal.sequence) else 0
        rows = []
        for column, ends in (
            (journal.inputs, journal.inputs_end),
            (journal.outputs, journal.outputs_end),
        ):
            start = ends[a - 1] if a else 0
            rows.append((near(column[start:]), tuple([end - start for end in ends[a:]])))
        calls = []
        for call in reversed(recorder.modules.calls):
            if call.from_op < a:
                break
            calls.append((call.module, call.from_op - a, call.to_op - a, near(call.outputs)))
        return (
            journal.head[a:].tobytes(),
            array("q", journal.site[a:]).tobytes(),
            # How many autograd nodes each op made, and what ran unseen between them.
            array("q", [n - first for n in journal.sequence[a:]]).tobytes(),
            node_counter() - first if first else 0,
            bytes(journal.flags[base:]),
            tuple(journal.meta[base:]),
            tuple(rows),
            tuple(calls),
            tuple([near(leaf.values[-1:]) for leaf in recorder.leaves.leaves[-_LEAVES - 1 :]]),
            near(recorder.passes.passes[-1].roots),
        )

    def places(self, key: Hashable) -> Places | None:
        """What a turn that ran like this one looked for, counted from where this one began."""
        known = self._known.get(key)
        if known is not None:
            known.begin = self.recorder.iterations.begin
        return known

    def keep(self, key: Hashable, places: Places) -> None:
        """Remember, if all that is sought lies in the turn that `key` tells of."""
        begin = self.recorder.iterations.begin
        within = all(s.op >= begin.op and s.value >= begin.value for s in places.sought)
        if within and len(self._known) < _MOST:
            own = tuple(pair for pair in places.inside if pair[0] >= begin.op)
            self._known[key] = Places(places.sought, own).from_point(begin)
