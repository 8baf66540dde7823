"""A loop around backward: the records of its first and last turns are kept, and of new ones.

What runs from one backward to the next is a turn, or several if a later one goes through the graph
of an earlier one (a sampler with a gradient in each step). When it is over, and shows nothing that
a kept iteration does not show, its records are forgotten but for the gradients' statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.function_watch import FunctionWatch
from gradprobe.capture.gradient_stats import as_stats
from gradprobe.capture.hook_chain import Changed
from gradprobe.capture.leaf_watch import LeafWatch, WatchedLeaf
from gradprobe.capture.likeness import Likeness, Sight
from gradprobe.capture.past import Past, Seen
from gradprobe.capture.shift import Forgetful, Point, Shift
from gradprobe.capture.watched_pass import WatchedPass, renumbered
from gradprobe.records.report import GradStats
from gradprobe.records.tensor import LEAF, REQUIRES_GRAD

_NEAR = 2  # a turn goes on with what so many turns before it made, or is one of its own
_MOST = 24  # iterations that are kept because they are new in some way
_NUMBERS = re.compile(r"\d+")


class Iterations:
    """Told of the end of each pass, it decides which records are still needed."""

    def __init__(
        self,
        mode: SeeingMode,
        leaves: LeafWatch,
        functions: FunctionWatch,
        passes: list[WatchedPass],
        moment: Callable[[], int],
        say: Callable[[str], None],
        all_leaves: bool,
    ) -> None:
        """`all_leaves` says that also parameters of modules may be judged: the user named some."""
        self.mode = mode
        self.leaves = leaves
        self.functions = functions
        self.passes = passes
        self.moment = moment
        self.say = say
        self.all_leaves = all_leaves
        self.forgets = True
        self.past = Past()
        self.likeness = Likeness(mode.journal, leaves)
        # What else tells iterations apart, between two points.
        self.shown: Callable[[Point, Point], Iterable[int]] = lambda first, last: ()
        # Told of each iteration that is over, whether it showed something new.
        self.turned: Callable[[bool], None] = lambda new: None
        self.watchers: list[Forgetful] = []  # the journal last: others read where ops ran
        self._begins = [Point(0, 0, 0)]  # of the turns of the iteration that is not over yet
        self._kept = 0  # passes of iterations that are over, and kept

    @property
    def begin(self) -> Point:
        """Where the last turn begins: the end of the pass before."""
        return self._begins[-1]

    @property
    def began(self) -> Point:
        """Where the iteration began to which the last pass belongs; asked once that has ended."""
        return self._begins[0]

    def ended(self) -> None:
        """A pass is over, the last of `passes`."""
        if not self.forgets or self.mode.inside:
            return
        if len(self._begins) > 1 and not self.goes_on():
            self._close()
        journal = self.mode.journal
        self._begins.append(Point(len(journal.head), len(journal.flags), self.moment()))

    def goes_on(self) -> bool:
        """Whether the last turn, that of the last pass, goes through what the ones before made."""
        journal = self.mode.journal
        begin = self._begins[-1]
        near = self._begins[max(0, len(self._begins) - 1 - _NEAR)].value
        flags, last = journal.flags, self.passes[-1]
        start = journal.inputs_end[begin.op - 1] if begin.op else 0
        end = begin.value
        earlier = [value for value in journal.inputs[start:] if near <= value < end]
        earlier += [value for value in (*last.roots, *last.inputs) if near <= value < end]
        return any(flags[value] & (REQUIRES_GRAD | LEAF) == REQUIRES_GRAD for value in earlier)

    def _close(self) -> None:
        """The iteration before the last turn is over: keep it or forget it."""
        first, last = self._begins[0], self._begins[-1]
        turns = len(self._begins) - 1
        passes = self.passes[self._kept : self._kept + turns]
        self._number_leaves(first, last)
        beside = [
            *self._endings(passes),
            *self._answers(first, last),
            *self.shown(first, last),
        ]
        digest = self.likeness.digest(first, last, [*beside, *(p.at_op - first.op for p in passes)])
        begin = self.likeness.same.get(digest)
        sight = None
        pending = self._may_go_on(first, last, passes)
        if begin is None or pending:
            sight = self.likeness.sight(first, last, beside)
            if pending or self._is_wanted(sight):
                self.likeness.keep(digest, first, sight)
                self._begins = [last]
                self._kept += turns
                self.turned(True)
                return
        self._forget(Shift(first, last, self._twin(first, begin, sight)), passes)
        self._begins = [first]
        self.turned(False)

    def _may_go_on(self, first: Point, last: Point, passes: Sequence[WatchedPass]) -> bool:
        """Whether a later backward may go through it: its graph was to be kept, and is held."""
        flags = self.mode.journal.flags
        return any(seen.retained for seen in passes) and any(
            first.value <= ref.value < last.value
            and flags[ref.value] & (REQUIRES_GRAD | LEAF) == REQUIRES_GRAD
            for ref in list(self.mode.table.values())
        )

    def _is_wanted(self, sight: Sight) -> bool:
        if not self.likeness.is_new(sight):
            return False
        if len(self.likeness.same) < _MOST or not self.likeness.knows_all(sight):
            return True
        self.say(
            f"more than {_MOST} iterations differ from all before them: of further ones only "
            "the statistics of gradients were kept"
        )
        return False

    def _twin(self, first: Point, begin: Point | None, sight: Sight | None) -> Callable[[int], int]:
        if begin is not None:
            down = first.value - begin.value
            return lambda value: value - down
        by_mark, marks = self.likeness.by_mark, sight.marks if sight is not None else {}
        return lambda value: by_mark[marks[value]]

    def _forget(self, shift: Shift, passes: Sequence[WatchedPass]) -> None:
        for seen in passes:
            reached = renumbered(self._told(seen), shift)
            self.past.add(Seen(seen.index, seen.how, seen.place, reached, seen.raised))
        del self.passes[self._kept : self._kept + len(passes)]
        for seen in self.passes[self._kept :]:
            seen.forget(shift)
        for watcher in self.watchers:
            watcher.forget(shift)
        exits = self.mode.memory.exits_now
        for seen in self.passes[self._kept :]:
            seen.altered = tuple(exits[n] for n in seen.altered if n in exits)

    def _told(self, seen: WatchedPass) -> Iterable[tuple[int, GradStats | None]]:
        """What is said of a pass: the leaves that may be judged, each with its gradient."""
        for value, grad in seen.reached.items():
            leaf = self.leaves.by_value.get(value)
            if self.all_leaves or leaf is None or not leaf.in_module:
                yield value, grad

    def _endings(self, passes: Sequence[WatchedPass]) -> Iterable[int]:
        """How passes ended: which leaves gradient reached, of what sort, and what torch said."""
        for seen in passes:
            keys = set()
            for value, grad in self._told(seen):
                leaf = self.leaves.by_value.get(value)
                keys.add(((-1, 0) if leaf is None else leaf.key, _sort(grad)))
            said = None if seen.raised is None else _NUMBERS.sub("", seen.raised)
            yield hash((seen.how, seen.place, seen.retained, tuple(sorted(keys)), said))
            # What hooks did to gradients, and memory that others changed.
            yield hash((tuple(_deed(change) for change in seen.hooks), len(seen.altered)))

    def _answers(self, first: Point, last: Point) -> Iterable[int]:
        """For which arguments custom Functions gave no gradient; which ops raised."""
        sites = self.mode.journal.site
        for call in reversed(self.functions.calls):
            if call.op < first.op:
                break
            if call.op < last.op:
                refused = (n for n, v in enumerate(call.explicit) if v in call.none_for)
                yield hash((call.name, sites[call.op], tuple(refused)))
        for op in self.mode.raised:
            if first.op <= op.at_op < last.op:
                yield hash((op.callee, op.site, _NUMBERS.sub("", op.message)))

    def _number_leaves(self, first: Point, last: Point) -> None:
        """Leaves made in an iteration are told apart by their place, and their order there."""
        counts: dict[int, int] = {}
        for leaf in self.leaves.leaves:
            if first.value <= _born(leaf) < last.value and leaf.key == (-1, 0):
                number = counts.get(leaf.place, 0)
                counts[leaf.place] = number + 1
                leaf.key = (leaf.place, number)


def _born(leaf: WatchedLeaf) -> int:
    return leaf.values[0]


def _sort(grad: GradStats | None) -> str:
    if grad is None:
        return "none"
    if grad.nonfinite:
        return "nonfinite"
    return "zero" if grad.abs_max == 0 else "some"


def _deed(change: Changed) -> tuple[object, ...]:
    after = change.after
    sort = None if after is None else _sort(as_stats(after))
    return change.on, change.hook.name, change.hook.registered.place, sort
