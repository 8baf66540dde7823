"""The table of hook records as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence

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


def plain_table() -> Table:
    """A table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")


def stage_table(
    stages: Sequence[Stage], leaves: Sequence[Leaf], states: States, width: int, *, brief: bool
) -> Table:
    """At most 40 rows in `width` cells. What gives way is the tensor, then the grad_fn's name."""
    shown = rows(stages, leaves, _MOST_ROWS, states, brief=brief)
    several = any(stage.call for stage in stages)  # the first of each step alone says little
    columns = {
        "step": [Line(row.step) for row in shown],
        "call": [Line(row.call) for row in shown] if several else [],
        "sigma": [Line(row.sigma) for row in shown],
        "stage": [Line(row.name) for row in shown],
    }
    names = [cropped(leaf.name, 12) for leaf in leaves]
    of_leaves = [[_state(row, index) for row in shown] for index in range(len(leaves))]
    more = {
        "tensor": [Line(row.tensor) for row in shown],
        "grad_fn": [Line(row.grad_fn) for row in shown],
        "|grad|": [Line(row.norm) for row in shown],
    }
    every = [*columns.items(), *zip(names, of_leaves, strict=True), *more.items()]
    every = [
        (header, cells)
        for header, cells in every
        if header not in ("call", "sigma") or any(cell.plain for cell in cells)
    ]
    if width - _needed(every) < _GRAD_FN:
        every = [column for column in every if column[1] is not more["tensor"]]
    table = plain_table()
    for header, cells in every:
        table.add_column(header, overflow="crop", no_wrap=cells is not more["grad_fn"])
    for number, row in enumerate(shown):
        line = [cells[number] for _, cells in every]
        table.add_row(*line, style="dim" if row.fold else "")
    return table


def _needed(columns: Sequence[tuple[str, Sequence[Line]]]) -> int:
    """Cells that all columns but that of grad_fn take."""
    return sum(
        _GAP + max(cell_len(header), *(cell.cell_len for cell in cells), 0)
        for header, cells in columns
        if header != "grad_fn"
    )


def _state(row: Row, index: int) -> Line:
    state = row.states[index] if index < len(row.states) else ""
    return Line(state, style=STYLE.get(state, OTHER))
