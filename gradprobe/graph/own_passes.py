"""Which passes are about a leaf: not those that serve another optimiser, or a successor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.holders import origins
from gradprobe.graph.updates import Key, Life, Moment, keys_of, moment_of
from gradprobe.records.backward import Pass
from gradprobe.records.sampling import LeafMark


class OwnPasses:
    """Tells passes that give a leaf no gradient, and were not to give it any."""

    def __init__(self, data: Dataflow) -> None:
        trace = data.trace
        self.data = data
        self.keys = {id(p): key for p, key in zip(trace.passes, keys_of(trace.passes), strict=True)}
        self.steps = [moment_of(use) for use in trace.uses if use.what == "step"]

    def foreign(self, leaf: LeafMark, lives: Sequence[Life]) -> list[Pass]:
        """The passes of the run that are not about this leaf."""
        trace = self.data.trace
        reached = sorted(m.key for life in lives for m in life.of("backward"))
        if not reached:
            return []
        since = self._replaced(leaf, lives)
        spans = list(self._of_others(lives, reached)) if len(self.steps) > 1 else []
        own = set(reached)
        return [
            passed
            for passed in trace.passes
            if (key := self.keys[id(passed)]) not in own
            and (
                (since is not None and key > since)
                or any(first < key < last for first, last in spans)
            )
        ]

    def _replaced(self, leaf: LeafMark, lives: Sequence[Life]) -> Key | None:
        """When another leaf of its name was made, from its gradient: an update by hand."""
        trace = self.data.trace
        grads = {value for life in lives for value in life.grads}
        if not grads:
            return None
        for mark in trace.leaves:
            same = mark.name == leaf.name and mark.values[0] not in leaf.values
            if same and not grads.isdisjoint(origins(self.data, mark.values[0])):
                return trace.values.at[mark.values[0]], 0
        return None

    def _of_others(
        self, lives: Sequence[Life], reached: Sequence[Key]
    ) -> Iterator[tuple[Key, Key]]:
        """From a step of any optimiser to the next, if that is another's that does not hold it.

        Only where the leaf's own optimiser steps later, with a gradient from a pass of its own.
        """
        holders = {m.use.optimizer for x in lives for m in x.of("step") if m.use is not None}
        before: Key = (-1, 0)
        for number, step in enumerate(self.steps):
            if step.use is None:
                continue
            if step.use.optimizer not in holders and step.use.any:
                mine = self._next(number, holders)
                if mine is not None and any(step.key < key < mine.key for key in reached):
                    yield before, step.key
            before = step.until

    def _next(self, number: int, holders: set[int]) -> Moment | None:
        """The next step of an optimiser that holds the leaf."""
        return next(
            (s for s in self.steps[number:] if s.use is not None and s.use.optimizer in holders),
            None,
        )
