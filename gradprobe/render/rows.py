"""A long run in rows, as text is set: dot alone would draw it as one line metres wide."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from rich.cells import cell_len

from gradprobe.render.looks import CROSS, LOOKS
from gradprobe.render.scene import Scene, Shape

_PLAIN = 1400  # points; up to here one row, for turns make a picture harder to follow
_WIDEST = 1300  # points of a row otherwise; about what a page shows at a size that is still read
_GAP = 36  # points between two boxes
_CELL = 6.3  # points a character
_FRAME = 20  # points of margin in a box
_FEWEST = 3  # boxes in a row, however wide they are
_SHORT = 6.0  # what a row of no length costs, counted in arrows that turn into the next row
_CUT = 4  # a cut arrow counts as so many: it is the one to be seen at once
_TOLD = 12  # and one with its label as so many: on a turn the label has no room of its own


@dataclass(frozen=True, slots=True)
class Rows:
    """`row` of each box by key, and the boxes that start a row (`starts`, one list a row)."""

    row: dict[str, int]
    starts: tuple[tuple[str, ...], ...]


def rows(drawn: Scene) -> Rows:
    """Rows of about equal length, at most about a page wide; one row where everything fits."""
    ranks = _ranks(drawn)
    count = max(ranks.values(), default=0) + 1
    firsts = _breaks(_turns(drawn, ranks, count), _length(drawn, ranks, count))
    starts = (
        tuple(shape.key for shape in drawn.shapes if ranks[shape.key] == first) for first in firsts
    )
    row = {key: bisect_right(firsts, rank) - 1 for key, rank in ranks.items()}
    return Rows(row, tuple(starts))


def _ranks(drawn: Scene) -> dict[str, int]:
    """How many arrows lead to each box at most; arrows against the order of boxes do not count."""
    order = {shape.key: i for i, shape in enumerate(drawn.shapes)}
    heads: dict[str, list[str]] = {key: [] for key in order}
    fed = set()
    for wire in drawn.wires:
        if order[wire.tail] < order[wire.head]:
            heads[wire.tail].append(wire.head)
            fed.add(wire.head)
    ranks = dict.fromkeys(order, 0)
    for tail, targets in heads.items():
        for head in targets:
            ranks[head] = max(ranks[head], ranks[tail] + 1)
    for key in list(order)[1:]:  # what nothing feeds stands beside what it feeds, not at the start
        if key not in fed and heads[key]:
            ranks[key] = min(ranks[head] for head in heads[key]) - 1
    return ranks


def _turns(drawn: Scene, ranks: dict[str, int], count: int) -> list[int]:
    """For each rank, how many arrows would turn into a new row that starts there."""
    steps = [0] * (count + 1)
    for wire in drawn.wires:
        low, high = sorted((ranks[wire.tail], ranks[wire.head]))
        weight = _CUT if wire.look is LOOKS["cut"] else 1
        if wire.label not in ("", CROSS):
            weight = _TOLD
        steps[low + 1] += weight
        steps[high + 1 if high < count else count] -= weight
    turns, now = [], 0
    for step in steps[:count]:
        now += step
        turns.append(now)
    return turns


def _breaks(turns: list[int], length: int) -> list[int]:
    """The first rank of each row: where few arrows pass, in rows of at most `length`.

    The cheapest split by dynamic programming over the place of the last break.
    """
    count = len(turns)
    best: list[tuple[float, int]] = [(0.0, 0)]  # for the first n ranks: cost, start of its last row
    for end in range(1, count + 1):
        best.append(
            min(
                (
                    best[first][0] + (turns[first] if first else 0) + _slack(end - first, length),
                    first,
                )
                for first in range(max(0, end - length), end)
            )
        )
    firsts, end = [], count
    while end:
        end = best[end][1]
        firsts.append(end)
    return firsts[::-1]


def _slack(used: int, length: int) -> float:
    return _SHORT * (1 - used / length) ** 2


def _length(drawn: Scene, ranks: dict[str, int], count: int) -> int:
    """How many ranks fit into a row."""
    widths = [0.0] * count
    for shape in drawn.shapes:
        widths[ranks[shape.key]] = max(widths[ranks[shape.key]], _width(shape))
    for wire in drawn.wires:
        widths[ranks[wire.head]] += cell_len(wire.label) * _CELL
    if sum(widths) + _GAP * count <= _PLAIN:
        return count
    length = count
    # Columns of all rows stand above each other, so a column is as wide as its widest box.
    while length > _FEWEST and sum(max(widths[i::length]) + _GAP for i in range(length)) > _WIDEST:
        length -= 1
    return length


def _width(shape: Shape) -> float:
    texts = [f"{shape.title}  {shape.tag}", shape.words, *shape.lines]
    return max(map(cell_len, texts)) * _CELL + _FRAME
