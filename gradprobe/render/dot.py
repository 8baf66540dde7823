"""The picture as DOT, for any Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html
from itertools import pairwise

import graphviz
from rich.cells import cell_len

from gradprobe.records.report import Report
from gradprobe.render.chips import Chip
from gradprobe.render.looks import CROSS
from gradprobe.render.rows import rows
from gradprobe.render.scene import Scene, Shape, Wire, scene
from gradprobe.render.zoom import Drawn, zoomed

SANS = "Helvetica"
MONO = "Courier"
_INK = "#1F2933"
_FAINT = "#5E6B75"


@dataclass(frozen=True, slots=True)
class Dot:
    """`rankdir` as in DOT: LR draws from left to right, TB from top to bottom.

    `depth` and `focus` are those of `Svg`.
    """

    rankdir: str = "LR"
    depth: Drawn = "auto"
    focus: str | None = None

    def render(self, report: Report) -> str:
        """DOT source; every string of the program in it is escaped.

        Raises `UsageError` for a depth or a focus that the picture does not have.
        """
        return source(scene(zoomed(report, self.depth, self.focus)), self.rankdir)


def source(drawn: Scene, rankdir: str = "LR") -> str:
    """The DOT of a scene. Boxes are named n0, n1 ...: a key could hold anything."""
    graph = graphviz.Digraph(
        "gradprobe",
        graph_attr={
            "rankdir": rankdir,
            "label": _heading(drawn),
            "labelloc": "t",
            "labeljust": "l",
            "tooltip": _quoted("\n".join(drawn.title)),
            "bgcolor": "white",
            "pad": "0.2",
            "nodesep": "0.3",
            "ranksep": "0.45",
        },
        node_attr={"fontname": SANS, "fontsize": "12", "fontcolor": _INK, "margin": "0.13,0.07"},
        edge_attr={"fontname": SANS, "fontsize": "10", "arrowsize": "0.7"},
    )
    names = {shape.key: f"n{i}" for i, shape in enumerate(drawn.shapes)}
    placed = rows(drawn)
    for shape in drawn.shapes:
        graph.node(names[shape.key], **_node(shape))
    for wire in drawn.wires:
        turns = placed.row[wire.tail] != placed.row[wire.head]
        free = {"constraint": "false"} if turns else {}
        graph.edge(names[wire.tail], names[wire.head], **_edge(wire), **free)
    joined = {key for wire in drawn.wires for key in (wire.tail, wire.head)}
    for shape in drawn.shapes[:-1]:
        if shape.key not in joined:  # it stands in front of the end, not wherever there is room
            graph.edge(names[shape.key], names[drawn.shapes[-1].key], style="invis")
    if len(placed.starts) > 1:
        _stack(graph, [[names[key] for key in start] for start in placed.starts])
    text: str = graph.source
    return text


def _stack(graph: graphviz.Digraph, starts: list[list[str]]) -> None:
    """Rows below each other: their first boxes share a rank, in order by invisible arrows."""
    with graph.subgraph(graph_attr={"rank": "same"}) as column:
        for name in (name for start in starts for name in start):
            column.node(name)
        for (upper, *_), (lower, *_) in pairwise(starts):
            column.edge(upper, lower, style="invis")


def _node(shape: Shape) -> dict[str, str]:
    look = shape.look
    styles = ["filled", look.style, *(["rounded"] if shape.rounded else [])]
    return {
        "shape": shape.outline,
        "style": ",".join(styles),
        "color": look.line,
        "fillcolor": look.fill,
        "penwidth": "2.2" if shape.heavy else "1.2",
        # The lid of a box3d takes room from its label.
        **({"margin": "0.16,0.11"} if shape.outline == "box3d" else {}),
        "label": _table(
            _row(_bold(shape.title), _font(shape.tag, _FAINT, 9), wide=shape.title),
            *(_row(_font(line, _INK, 10, MONO)) for line in shape.lines),
            _row(_font(shape.words, look.text, 10)),
        ),
        "tooltip": _quoted(shape.tooltip),
    }


def _edge(wire: Wire) -> dict[str, str]:
    look = wire.look
    label = (
        {"label": _table(_row(_font(wire.label, look.text, 10)), _row(_font(" ", look.text, 4)))}
        if wire.label
        else {}
    )
    return {
        "color": look.line,
        "style": look.style,
        "penwidth": f"{wire.width:.1f}",
        "tooltip": _quoted(wire.tooltip),
        "labeltooltip": _quoted(wire.tooltip),
        **label,
    }


def _heading(drawn: Scene) -> str:
    lines = [_row(_font(_bold(line), _INK, 15, raw=True), wide=line) for line in drawn.title]
    strip = [_row(_chips(line)) for line in drawn.strip]
    return _table(*lines, *strip, _row(_font(drawn.caption, _FAINT, 10)), _row(" "))


def _chips(line: Sequence[Chip]) -> str:
    cells = "".join(f"<td>{_chip(chip)}</td>" for chip in line)
    # Room that a wider line leaves goes to all columns alike: most of them are at the end.
    return (
        '<table border="0" cellborder="0" cellspacing="0" cellpadding="3">'
        f'<tr>{cells}<td colspan="200"></td></tr></table>'
    )


def _chip(chip: Chip) -> str:
    text = "&#160;".join(_font(text, color, 10) for text, color in chip.words)
    if chip.arrow:
        return text
    look, plain = chip.look, " ".join(text for text, _ in chip.words).replace(CROSS, "x")
    return (
        f'<table border="1" cellborder="0" cellspacing="0" cellpadding="5"'
        f' color="{look.line}" bgcolor="{look.fill}" style="rounded,{look.style}">'
        f"<tr><td{_floor(plain, 6)}>{text}</td></tr></table>"
    )


def _table(*rows: str) -> str:
    opening = '<table border="0" cellborder="0" cellspacing="0" cellpadding="1">'
    return f"<{opening}{''.join(rows)}</table>>"


def _row(*cells: str, wide: str = "") -> str:
    filled = [cell for cell in cells if cell]
    if not filled:
        return ""
    inside = "&#160;&#160;".join(filled)
    return f'<tr><td align="left"{_floor(wide, 8)}>{inside}</td></tr>'


def _floor(text: str, points: int) -> str:
    """A least width, of so many points a cell: Graphviz knows none for what is not ASCII."""
    return "" if text.isascii() else f' width="{points * cell_len(text)}"'


def _bold(text: str) -> str:
    return f"<b>{_html(text)}</b>" if text else ""


def _font(text: str, color: str, size: int, face: str = SANS, *, raw: bool = False) -> str:
    if not text:
        return ""
    inside = text if raw else _html(text)
    return f'<font face="{face}" color="{color}" point-size="{size}">{inside}</font>'


def _html(text: str) -> str:
    """`text` in an HTML-like label.

    There too Graphviz expands `\\N` to the box's name, and nothing escapes it: the backslash stands
    in a run of text of its own.
    """
    return escape_html(text).replace("\\", "<font>\\</font>")


def _quoted(text: str) -> str:
    """`text` in a quoted string, where Graphviz expands entities as well as backslashes."""
    quoted: str = graphviz.escape(text.replace("&", "&amp;"))
    return quoted
