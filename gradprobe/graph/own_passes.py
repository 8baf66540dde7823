"""Which passes are about a leaf: not those that serve another optimiser, or a successor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from gradprobe.graph.dataflow import Dataflow, origins
from gradprobe.graph.updates import Key, Life, keys_of, optimizer_steps
from gradprobe.records.backward import Pass
from gradprobe.records.sampling import LeafMark


class OwnPasses:
    """Tells passes that give a leaf no gradient, and were not to give it any."""

    def __init__(self, data: Dataflow) -> None:
        self.data = data
        self.keys = list(keys_of(data.trace.passes))
        self.steps = optimizer_steps(data.trace)

    def foreign(self, leaf: LeafMark, lives: Sequence[Life]) -> list[Pass]:
        """The passes of the run that are not about this leaf."""
        reached = sorted(m.key for life in lives for m in life.of("backward"))
        if not reached:
            return []
        own = set(reached)
        since = self._replaced(leaf, lives)
        serves_others = self._of_others(lives, reached)
        return [
            passed
            for passed, key in zip(self.data.trace.passes, self.keys, strict=True)
            if key not in own and ((since is not None and key > since) or key in serves_others)
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

    def _of_others(self, lives: Sequence[Life], reached: Sequence[Key]) -> set[Key]:
        """Passes whose gradient the next step uses, if that is of one that does not hold the leaf.

        Only where an optimiser that does hold it steps later, after a pass that reached it.
        """
        holders = {m.use.optimizer for x in lives for m in x.of("step") if m.use is not None}
        if not holders:
            return set()
        found: set[Key] = set()
        mine: Key | None = None  # the leaf's next step
        for number in reversed(range(len(self.steps))):
            step = self.steps[number]
            if step.use is None:
                continue
            if step.use.optimizer in holders:
                mine = step.key
            elif mine is not None and step.use.any:
                after = bisect_right(reached, step.key)
                if after < len(reached) and reached[after] < mine:
                    since = self.steps[number - 1].until if number else (-1, 0)
                    last = bisect_right(self.keys, step.key)
                    found.update(self.keys[bisect_right(self.keys, since) : last])
        return found
