"""Passes on the norms of each backward when it is over, for whoever charts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from gradprobe.capture.build_stages import marked_since
from gradprobe.capture.gradient_stats import Awaited
from gradprobe.capture.leaf_names import LeafNames
from gradprobe.capture.leaf_watch import WatchedLeaf
from gradprobe.capture.naming import Naming
from gradprobe.capture.recorder import Recorder
from gradprobe.capture.source_map import SourceMap
from gradprobe.capture.torch_internals import aside
from gradprobe.records.norms import PassNorms, StageKey
from gradprobe.records.source import Frame


class NormsTold:
    """Tells of each pass that ended well; what it calls may use torch, and nobody sees that."""

    def __init__(self, recorder: Recorder, told: Callable[[PassNorms], None]) -> None:
        self.recorder = recorder
        self._told: Callable[[PassNorms], None] | None = told
        self._sources = SourceMap()
        self._frames: list[Frame | None] = []
        self._names = LeafNames(recorder, self._frames, Naming(self._sources))
        # By where a leaf was made, and whether it is a module's: source is read once for each.
        self._known: dict[object, str | None] = {}
        self._measured: dict[int, Awaited] = {}  # by a marked stage's moment, what was told of it

    def over(self) -> None:
        """A pass is over, the last one, and older records are forgotten as far as they may be."""
        seen = self.recorder.passes.passes[-1]
        if self._told is None or seen.raised is not None:
            return
        mode = self.recorder.mode
        mode.pauses += 1
        try:
            with aside():
                norms = {**dict(self._of_leaves()), **dict(self._of_stages())}
                self._told(PassNorms(seen.index, norms))
        except Exception as fault:
            # A fault of who listens may cost the telling, never the program.
            self._told = None
            self.recorder.say(f"gradient norms were not told to the end: {fault!r}")
        finally:
            mode.pauses -= 1

    def _of_leaves(self) -> Iterator[tuple[StageKey, float]]:
        reached = self.recorder.passes.passes[-1].reached
        for leaf in self.recorder.leaves.leaves:
            grad = reached.get(leaf.values[-1])
            name = None if grad is None else self._name(leaf)
            if grad is not None and name is not None:
                yield StageKey(name), grad.norm

    def _of_stages(self) -> Iterator[tuple[StageKey, float]]:
        """What was marked, and of what was discovered that which has no such name."""
        marked = dict(self._of_marks())
        named = {key.name for key in marked}
        measured = self.recorder.passes.passes[-1].measured
        for _, seen in sorted(measured.items()):
            key = seen.key
            if key is not None and seen.grad is not None and key.name not in named:
                yield key, seen.grad.norm
        yield from marked.items()

    def _of_marks(self) -> Iterator[tuple[StageKey, float]]:
        """Stages of this iteration that a tap, a selector or an adapter named, if they are new.

        Where no step is known, those of one name are numbered in their order.
        """
        marks = list(marked_since(self.recorder, self.recorder.iterations.began))
        times = Counter(mark.key for mark in marks)
        met: Counter[StageKey] = Counter()
        for mark in marks:
            key = mark.key
            if key.step is None and times[key] > 1:
                key = replace(key, step=met[mark.key])
            met[mark.key] += 1
            if self._measured.get(mark.moment) is not mark.measured:
                yield key, mark.norm
        self._measured = {mark.moment: mark.measured for mark in marks}

    def _name(self, leaf: WatchedLeaf) -> str | None:
        sites = tuple(site for _, site, _ in leaf.where.frames)
        key = (sites, leaf.place, leaf.in_module, leaf.requires_grad)
        if key not in self._known:
            places = self.recorder.journal.stack.places
            self._frames += [
                None if place is None else self._sources.frame(*place)
                for place in places[len(self._frames) :]
            ]
            self._known[key] = self._names.wanted(leaf)
        return self._known[key]
