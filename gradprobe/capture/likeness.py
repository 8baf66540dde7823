"""Whether an iteration shows anything that the iterations which are kept do not show.

How a value was made is told by a mark: the line and function of its op, what is known of it as a
value, and at which lines what it was made from had lost its gradient. An iteration is new if in it
an op takes a value of a mark that no op of that line took before, or if a backward ended in another
way. Marks say nothing of shapes and of how often a loop turned.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gradprobe.capture.journal import Journal
from gradprobe.capture.leaf_watch import LeafWatch
from gradprobe.capture.shift import Point
from gradprobe.records.tensor import CONNECTED, LEAF, PARAMETER, REQUIRES_GRAD

_OF_LEAF = LEAF | REQUIRES_GRAD | PARAMETER
_NOTHING: frozenset[int] = frozenset()


@dataclass(slots=True)
class Sight:
    """What one iteration shows: marks of its values, where gradient was lost, what took what."""

    marks: dict[int, int] = field(default_factory=dict)
    losses: dict[int, int] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)


class Likeness:
    """What all kept iterations show together."""

    def __init__(self, journal: Journal, leaves: LeafWatch) -> None:
        self.journal = journal
        self.leaves = leaves
        self.same: dict[bytes, Point] = {}  # where kept iterations begin, by all there is in them
        self.by_mark: dict[int, int] = {}  # the last value of each mark
        self._shown: set[int] = set()
        self._losses: dict[int, int] = {}  # by value, the number of a set of places
        self._sets: list[frozenset[int]] = [_NOTHING]
        self._numbers: dict[frozenset[int], int] = {_NOTHING: 0}
        self._joined: dict[tuple[int, int], int] = {}

    def keep(self, digest: bytes, first: Point, sight: Sight) -> None:
        """An iteration that begins at `first` is kept."""
        self.same.setdefault(digest, first)
        self.by_mark.update((mark, value) for value, mark in sight.marks.items())
        self._shown |= sight.shown
        self._losses.update(sight.losses)

    def is_new(self, sight: Sight) -> bool:
        return not (sight.shown <= self._shown and self.knows_all(sight))

    def knows_all(self, sight: Sight) -> bool:
        """Whether each value has a twin."""
        return all(mark in self.by_mark for mark in sight.marks.values())

    def digest(self, first: Point, last: Point, beside: Iterable[int]) -> bytes:
        """Of all that was recorded in a stretch, but for numbers that grow from turn to turn."""
        journal = self.journal
        a, b, base = first.op, last.op, first.value
        sums = hashlib.blake2b(digest_size=16)
        sums.update(journal.head[a:b].tobytes())
        sums.update(array("q", journal.site[a:b]).tobytes())
        sums.update(journal.flags[base : last.value])
        sums.update(array("q", journal.meta[base : last.value]).tobytes())
        for column, ends in (
            (journal.inputs, journal.inputs_end),
            (journal.outputs, journal.outputs_end),
        ):
            start, end = ends[a - 1] if a else 0, ends[b - 1] if b else 0
            values = column[start:end]
            sums.update(array("q", [v - base if v >= base else -1 for v in values]).tobytes())
            outer = [v for v in values if v < base]
            marks = {v: self.mark(v, self._losses.get(v, 0)) for v in set(outer)}
            sums.update(array("q", [marks[v] for v in outer]).tobytes())
            sums.update(array("q", [e - start for e in ends[a:b]]).tobytes())
        sums.update(array("q", beside).tobytes())
        return sums.digest()

    def sight(self, first: Point, last: Point, beside: Iterable[int]) -> Sight:
        """Look at each op of a stretch. `beside` is what else tells iterations apart."""
        journal = self.journal
        found = Sight(shown=set(beside))
        flags, losses, marks = journal.flags, found.losses, found.marks
        for op in range(first.op, last.op):
            here = hash((journal.head[op], journal.site[op]))
            lost, connected = 0, False
            for position, value in enumerate(_of(journal.inputs, journal.inputs_end, op)):
                behind = losses.get(value, 0) or self._losses.get(value, 0)
                mark = marks.get(value)
                if mark is None:
                    mark = self.mark(value, behind)
                found.shown.add(hash((here, min(position, 3), mark)))
                connected = connected or bool(flags[value] & CONNECTED)
                if behind:
                    lost = self._join(lost, behind)
            for value in _of(journal.outputs, journal.outputs_end, op):
                behind = lost
                if connected and not flags[value] & CONNECTED:
                    behind = self._join(lost, self._number(frozenset((journal.site[op],))))
                if behind and not flags[value] & LEAF:
                    losses[value] = behind
                marks[value] = self.mark(value, behind)
        for value in range(first.value, last.value):
            if value not in marks:  # no op made it
                marks[value] = self.mark(value, 0)
        return found

    def mark(self, value: int, behind: int) -> int:
        """How a value was made; `behind` stands for where gradient was lost before it."""
        journal = self.journal
        flags = journal.flags[value]
        if flags & LEAF:  # the way to a leaf ends there, whatever wrote its values
            leaf = self.leaves.by_value.get(value)
            return hash((1, flags & _OF_LEAF, (-1, 0) if leaf is None else leaf.key))
        op = journal.made_at[value]
        if op < 0:
            return hash((2, flags, journal.metas[journal.meta[value]].dtype))
        position = value - _of(journal.outputs, journal.outputs_end, op)[0]
        return hash((3, flags, journal.head[op], journal.site[op], position, behind))

    def _number(self, places: frozenset[int]) -> int:
        number = self._numbers.get(places)
        if number is None:
            number = self._numbers[places] = len(self._sets)
            self._sets.append(places)
        return number

    def _join(self, one: int, other: int) -> int:
        if one == other or not other:
            return one
        if not one:
            return other
        known = self._joined.get((one, other))
        if known is None:
            known = self._number(self._sets[one] | self._sets[other])
            self._joined[one, other] = known
        return known


def _of(column: Sequence[int], ends: Sequence[int], op: int) -> Sequence[int]:
    return column[ends[op - 1] if op else 0 : ends[op]]
