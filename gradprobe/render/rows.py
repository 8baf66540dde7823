"""A long run in rows, as text is set: dot alone would draw it as one line metres wide."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from gradprobe.render.scene import Scene, Shape

_WIDEST = 1150  # points; about what a page shows at a size that is still read
_GAP = 36  # points between two boxes
_CELL = 6.3  # points a character
_FRAME = 20  # points of margin in a box
_FEWEST = 3  # boxes in a row, however wide they are


@dataclass(frozen=True, slots=True)
class Rows:
    """`row` of each box by key, and the boxes that start a row (`starts`, one list a row)."""

    row: dict[str, int]
    starts: tuple[tuple[str, ...], ...]


def rows(drawn: Scene) -> Rows:
    """Rows of equal length, at most about a page wide; one row where everything fits."""
    ranks = _ranks(drawn)
    last = max(ranks.values(), default=0)
    length = _length(drawn, ranks, last + 1)
    starts: list[list[str]] = [[] for _ in range(last // length + 1)]
    for shape in drawn.shapes:
        if ranks[shape.key] % length == 0:
            starts[ranks[shape.key] // length].append(shape.key)
    return Rows({key: rank // length for key, rank in ranks.items()}, tuple(map(tuple, starts)))


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


def _length(drawn: Scene, ranks: dict[str, int], count: int) -> int:
    """How many ranks go into a row: as many as fit, then evened out over the rows."""
    widths = [0.0] * count
    for shape in drawn.shapes:
        widths[ranks[shape.key]] = max(widths[ranks[shape.key]], _width(shape))
    for wire in drawn.wires:
        widths[ranks[wire.head]] += cell_len(wire.label) * _CELL
    length = count
    # Columns of all rows stand above each other, so a column is as wide as its widest box.
    while length > _FEWEST and sum(max(widths[i::length]) + _GAP for i in range(length)) > _WIDEST:
        length -= 1
    in_rows = -(-count // length)
    return -(-count // in_rows)


def _width(shape: Shape) -> float:
    texts = [f"{shape.title}  {shape.tag}", shape.look.words, *shape.lines]
    return max(map(cell_len, texts)) * _CELL + _FRAME
