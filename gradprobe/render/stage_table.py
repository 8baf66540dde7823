"""The table of hook records as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text as Line

from gradprobe.records.report import Leaf, Stage
from gradprobe.render.plain import cropped
from gradprobe.render.stage_rows import Row, rows
from gradprobe.render.states import APART, LIVE, LOST, MISSED, NONFINITE, ZERO, States

STYLE = {
    LIVE: "green",
    LOST: "red",
    MISSED: "red",
    ZERO: "yellow",
    NONFINITE: "red",
    APART: "dim",
}
OTHER = "yellow"
_MOST_ROWS = 40
_GAP = 2
_GRAD_FN = 8  # cells that a grad_fn's name needs to be told by its start
_STAGE = 12  # and a stage's, on a narrow page
_LEAF, _LEAF_CELLS = "leaf", 12


def plain_table() -> Table:
    """A table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")


@dataclass(frozen=True, slots=True)
class _Column:
    """`kind` is the header, but of a leaf's column."""

    kind: str
    header: str
    cells: list[Line]

    @property
    def width(self) -> int:
        return max(cell_len(self.header), *(cell.cell_len for cell in self.cells), 0)


def stage_table(
    stages: Sequence[Stage], leaves: Sequence[Leaf], states: States, width: int, *, brief: bool
) -> Table:
    """At most 40 rows in `width` cells; no number is ever cropped, which would make it another.

    What gives way is the tensor, then the grad_fn's name, names of leaves and stages, sigma and
    call, and on a page as narrow as that the gradient and the columns of the last leaves.
    """
    shown = rows(stages, leaves, _MOST_ROWS, states, brief=brief)
    told = {
        "step": [row.step for row in shown],
        # The first of each step alone says little.
        "call": [row.call for row in shown] if any(stage.call for stage in stages) else [],
        "sigma": [row.sigma for row in shown],
        "stage": [row.name for row in shown],
    }
    more = {
        "tensor": [row.tensor for row in shown],
        "grad_fn": [row.grad_fn for row in shown],
        "|grad|": [row.norm for row in shown],
    }
    every = [_Column(kind, kind, list(map(Line, cells))) for kind, cells in told.items()]
    for index, leaf in enumerate(leaves):
        words = [_state(row, index) for row in shown]
        every.append(_Column(_LEAF, cropped(leaf.name, _LEAF_CELLS), words))
    every += [_Column(kind, kind, list(map(Line, cells))) for kind, cells in more.items()]
    every = _fitted([c for c in every if c.kind not in ("call", "sigma") or any(c.cells)], width)
    table = plain_table()
    for column in every:
        table.add_column(column.header, overflow="crop", no_wrap=column.kind != "grad_fn")
    for number, row in enumerate(shown):
        line = [column.cells[number] for column in every]
        table.add_row(*line, style="dim" if row.fold else "")
    return table


def _fitted(every: list[_Column], width: int) -> list[_Column]:
    """The columns that have room, some of them narrower."""
    rest = _needed(c for c in every if c.kind != "grad_fn")
    if width - rest < _GRAD_FN:
        every = _without(every, "tensor")
        rest = _needed(c for c in every if c.kind != "grad_fn")
    if width - rest < _GRAD_FN:
        every = _without(every, "grad_fn")
    elif any(c.kind == "grad_fn" for c in every):
        return every
    every = _narrower(every, width, (10, 8))
    over = _needed(every) - width
    if over > 0:
        every = [
            _cropped(c, max(c.width - over, _STAGE)) if c.kind == "stage" else c for c in every
        ]
    every = _narrower(every, width, (6, 4))
    for kind in ("sigma", "call", "|grad|"):
        if _needed(every) > width:
            every = _without(every, kind)
    while _needed(every) > width and sum(c.kind == _LEAF for c in every) > 1:
        last = max(n for n, c in enumerate(every) if c.kind == _LEAF)
        every = every[:last] + every[last + 1 :]
    return every


def _needed(columns: Iterable[_Column]) -> int:
    """Cells that columns take, each with the gap behind it."""
    return sum(column.width + _GAP for column in columns)


def _without(columns: Iterable[_Column], kind: str) -> list[_Column]:
    return [column for column in columns if column.kind != kind]


def _narrower(columns: list[_Column], width: int, sizes: Iterable[int]) -> list[_Column]:
    """Names of leaves in the largest of `sizes` that lets the columns fit, or in the last."""
    for cells in sizes:
        if _needed(columns) > width:
            columns = [
                replace(c, header=cropped(c.header, cells)) if c.kind == _LEAF else c
                for c in columns
            ]
    return columns


def _cropped(column: _Column, cells: int) -> _Column:
    return replace(column, cells=[Line(cropped(cell.plain, cells)) for cell in column.cells])


def _state(row: Row, index: int) -> Line:
    state = row.states[index] if index < len(row.states) else ""
    return Line(state, style=STYLE.get(state, OTHER))
