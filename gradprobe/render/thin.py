"""Leaves out the arrows of a picture whose way other arrows of the same state already tell.

A sampler hands its state past every call, so that each step feeds all later ones. Drawn in full
that is a hairball; drawn as a chain it says the same, and the arrow that goes round a cut shows.
"""

from __future__ import annotations

from collections import defaultdict

from gradprobe.records.picture import Arrow, Picture, State


def thinned(picture: Picture) -> tuple[Arrow, ...]:
    """The arrows to draw, in their order, without any from or to a box that is not there.

    The transitive reduction of each state's arrows: a gradient that passes stays on an unbroken
    line of live arrows. Cut and labelled arrows, and those against the order of boxes, all stay.
    """
    order = {box.key: i for i, box in enumerate(picture.boxes)}
    arrows = [a for a in picture.arrows if a.tail in order and a.head in order]
    leaving: dict[tuple[State, int], list[int]] = defaultdict(list)
    for index, arrow in enumerate(arrows):
        if order[arrow.tail] < order[arrow.head] and arrow.state != "cut":
            leaving[arrow.state, order[arrow.tail]].append(index)
    reach: dict[tuple[State, int], int] = defaultdict(int)  # a bit for each box that is reached
    implied = set()
    for state, tail in sorted(leaving, key=lambda key: -key[1]):
        nearest_first = sorted(leaving[state, tail], key=lambda i: order[arrows[i].head])
        reached = 0
        for index in nearest_first:
            head = order[arrows[index].head]
            if reached >> head & 1 and not arrows[index].label:
                implied.add(index)
            reached |= 1 << head | reach[state, head]
        reach[state, tail] = reached
    return tuple(arrow for index, arrow in enumerate(arrows) if index not in implied)
