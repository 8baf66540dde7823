"""Leaves out the arrows of a picture whose way other arrows already tell.

A sampler hands its state past every call, so that each step feeds all later ones. Drawn in full
that is a hairball; drawn as a chain it says the same, and the arrow that goes round a cut shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gradprobe.records.picture import Arrow, Picture, State


def thinned(picture: Picture) -> tuple[Arrow, ...]:
    """The arrows to draw, in their order, without any from or to a box that is not there.

    The transitive reduction of each state's arrows: a gradient that passes stays on an unbroken
    line of live arrows. An arrow that a finding cuts goes where a chain with another arrow cut by
    the same finding leads from its tail to its head. Arrows against the order of boxes all stay.
    """
    order = {box.key: i for i, box in enumerate(picture.boxes)}
    arrows = [a for a in picture.arrows if a.tail in order and a.head in order]
    ends = [(order[a.tail], order[a.head]) for a in arrows]
    left_out = {*_implied(arrows, ends), *_cut_again(arrows, ends)}
    return tuple(arrow for index, arrow in enumerate(arrows) if index not in left_out)


def _implied(arrows: Sequence[Arrow], ends: Sequence[tuple[int, int]]) -> set[int]:
    """Arrows without a label whose ends a chain of others of their state connects."""
    leaving: dict[tuple[State, int], list[int]] = defaultdict(list)
    for index, arrow in enumerate(arrows):
        tail, head = ends[index]
        if tail < head and arrow.state != "cut":
            leaving[arrow.state, tail].append(index)
    reach: dict[tuple[State, int], int] = defaultdict(int)  # a bit for each box that is reached
    implied = set()
    for state, tail in sorted(leaving, key=lambda key: -key[1]):
        nearest_first = sorted(leaving[state, tail], key=lambda i: ends[i][1])
        reached = 0
        for index in nearest_first:
            head = ends[index][1]
            if reached >> head & 1 and not arrows[index].label:
                implied.add(index)
            reached |= 1 << head | reach[state, head]
        reach[state, tail] = reached
    return implied


def _cut_again(arrows: Sequence[Arrow], ends: Sequence[tuple[int, int]]) -> set[int]:
    """Arrows cut by a finding that a shorter arrow on the same way shows."""
    forward = [i for i, (tail, head) in enumerate(ends) if tail < head]
    reach: dict[int, int] = defaultdict(int)
    for index in sorted(forward, key=lambda i: -ends[i][0]):
        tail, head = ends[index]
        if arrows[index].state != "cut":
            reach[tail] |= 1 << head | reach[head]
    kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
    again = set()
    for index in sorted(forward, key=lambda i: ends[i][1] - ends[i][0]):
        finding = arrows[index].finding
        if arrows[index].state != "cut" or finding is None:
            continue
        tail, head = ends[index]
        before, after = reach[tail] | 1 << tail, 1 << head
        if any(before >> t & 1 and (reach[h] | 1 << h) & after for t, h in kept[finding]):
            again.add(index)
        else:
            kept[finding].append(ends[index])
    return again
