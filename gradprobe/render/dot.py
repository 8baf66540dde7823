"""The picture as DOT, for any Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import graphviz

from gradprobe.records.report import Report
from gradprobe.render.chips import Chip
from gradprobe.render.labels import FAINT, INK, MONO, SANS, bold, floor, font, quoted, row, table
from gradprobe.render.looks import CROSS
from gradprobe.render.rows import rows
from gradprobe.render.scene import Scene, Shape, Wire, scene
from gradprobe.render.zoom import Drawn, zoomed


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
            "tooltip": quoted("\n".join(drawn.title)),
            "bgcolor": "white",
            "pad": "0.2",
            "nodesep": "0.3",
            "ranksep": "0.45",
        },
        node_attr={"fontname": SANS, "fontsize": "12", "fontcolor": INK, "margin": "0.13,0.07"},
        edge_attr={"fontname": SANS, "fontsize": "10", "arrowsize": "0.7"},
    )
    names = {shape.key: f"n{i}" for i, shape in enumerate(drawn.shapes)}
    placed = rows(drawn)
    for shape in drawn.shapes:
        graph.node(names[shape.key], **node_attributes(shape))
    for wire in drawn.wires:
        turns = placed.row[wire.tail] != placed.row[wire.head]
        free = {"constraint": "false"} if turns else {}
        graph.edge(names[wire.tail], names[wire.head], **edge_attributes(wire), **free)
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


def node_attributes(shape: Shape) -> dict[str, str]:
    """A box's attributes."""
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
        "label": table(
            row(bold(shape.title), font(shape.tag, FAINT, 9), wide=shape.title),
            *(row(font(line, INK, 10, MONO)) for line in shape.lines),
            row(font(shape.words, look.text, 10)),
        ),
        "tooltip": quoted(shape.tooltip),
    }


def edge_attributes(wire: Wire) -> dict[str, str]:
    """An arrow's attributes."""
    look = wire.look
    label = (
        {"label": table(row(font(wire.label, look.text, 10)), row(font(" ", look.text, 4)))}
        if wire.label
        else {}
    )
    return {
        "color": look.line,
        "style": look.style,
        "penwidth": f"{wire.width:.1f}",
        "tooltip": quoted(wire.tooltip),
        "labeltooltip": quoted(wire.tooltip),
        **label,
    }


def _heading(drawn: Scene) -> str:
    lines = [row(font(bold(line), INK, 15, raw=True), wide=line) for line in drawn.title]
    strip = [row(_chips(line)) for line in drawn.strip]
    return table(*lines, *strip, row(font(drawn.caption, FAINT, 10)), row(" "))


def _chips(line: Sequence[Chip]) -> str:
    cells = "".join(f"<td>{_chip(chip)}</td>" for chip in line)
    # Room that a wider line leaves goes to all columns alike: most of them are at the end.
    return (
        '<table border="0" cellborder="0" cellspacing="0" cellpadding="3">'
        f'<tr>{cells}<td colspan="200"></td></tr></table>'
    )


def _chip(chip: Chip) -> str:
    text = "&#160;".join(font(text, color, 10) for text, color in chip.words)
    if chip.arrow:
        return text
    look, plain = chip.look, " ".join(text for text, _ in chip.words).replace(CROSS, "x")
    return (
        f'<table border="1" cellborder="0" cellspacing="0" cellpadding="5"'
        f' color="{look.line}" bgcolor="{look.fill}" style="rounded,{look.style}">'
        f"<tr><td{floor(plain, 6)}>{text}</td></tr></table>"
    )
