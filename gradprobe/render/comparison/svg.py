"""A comparison as a picture: the two runs side by side, stage by stage, from leaf to root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import graphviz

from gradprobe.graph.cause import label_of
from gradprobe.records.comparison import Comparison, StagePair
from gradprobe.records.picture import State
from gradprobe.render.comparison.rows import Row, ratio, rows, where
from gradprobe.render.dot import edge_attributes, node_attributes
from gradprobe.render.labels import FAINT, INK, MONO, SANS, bold, font, quoted, row, table
from gradprobe.render.layout import lay_out
from gradprobe.render.looks import CROSS, LOOKS
from gradprobe.render.plain import cropped, visible, wrapped
from gradprobe.render.scene import Shape, Wire
from gradprobe.render.svg_tree import finish

_MOST_ROWS = 16
_CELLS, _SMALL_CELLS = 80, 120  # of a line above the picture, in large and in small type
_SIDES = ("good", "bad")
_STATES: dict[str, State] = {
    "lost": "lost",
    "zero": "zero",
    "nan/inf": "nonfinite",
    "unknown": "unknown",
    "not there": "unknown",
    "-": "unknown",
}


@dataclass(frozen=True, slots=True)
class ComparisonSvg:
    """`names` are what the two sides are called; `engine` is that of `Svg`.

    `heading` False leaves out what stands above the picture, for a page that says it.
    """

    names: tuple[str, str] = _SIDES
    engine: Literal["pure", "dot"] = "pure"
    heading: bool = True

    def render(self, compared: Comparison) -> str:
        """SVG text, the same bytes for the same comparison. Raises as `Svg.render` does."""
        drawn = rows(compared.stages, _MOST_ROWS) if compared.stages else []
        told = list(_headings(compared, self.names))
        return finish(
            lay_out(self._dot(compared, drawn, told), self.engine),
            " ".join(told),
            f"Two runs side by side in {len(drawn)} rows, from leaf to root.",
        )

    def _dot(self, compared: Comparison, drawn: list[Row], told: list[str]) -> str:
        graph = graphviz.Digraph(
            "gradprobe",
            graph_attr={
                "rankdir": "TB",
                "label": _heading(told, compared) if self.heading else "",
                "labelloc": "t",
                "labeljust": "l",
                "tooltip": quoted("\n".join(told)),
                "bgcolor": "white",
                "pad": "0.2",
                "nodesep": "0.6",
                "ranksep": "0.35",
            },
            node_attr={"fontname": SANS, "fontsize": "12", "fontcolor": INK, "margin": "0.13,0.07"},
            edge_attr={"fontname": SANS, "fontsize": "10", "arrowsize": "0.7"},
        )
        columns = [_column(drawn, side) for side in (0, 1)]
        for number, pair in enumerate(zip(*columns, strict=True)):
            with graph.subgraph(graph_attr={"rank": "same"}) as line:
                for side, shape in enumerate(pair):
                    key, column = f"{_SIDES[side]}{number}", _SIDES[side]
                    line.node(key, group=column, **node_attributes(shape))
                line.edge(f"good{number}", f"bad{number}", style="invis")
        for side in (0, 1):
            title = bold(cropped(self.names[side], 40))
            graph.node(
                _SIDES[side], shape="plain", label=table(row(font(title, INK, 13, raw=True)))
            )
            if columns[side]:
                graph.edge(_SIDES[side], f"{_SIDES[side]}0", style="invis", weight="100")
            for number, wire in enumerate(_wires(columns[side], compared, side)):
                ends = (f"{_SIDES[side]}{number}", f"{_SIDES[side]}{number + 1}")
                graph.edge(*ends, **edge_attributes(wire))
        with graph.subgraph(graph_attr={"rank": "same"}) as top:
            top.edge(*_SIDES, style="invis")
        text: str = graph.source
        return text


def _headings(compared: Comparison, names: tuple[str, str]) -> Iterator[str]:
    """What the picture is about: where the two part, else that they do not."""
    found = compared.divergence
    if found is None:
        yield "The gradient takes the same ways in both."
    else:
        place = where(found.stage, found.step, found.call)
        yield f"They part at {place}: {visible(found.sentence)}"
    for name, headline in zip(names, compared.headlines, strict=True):
        yield f"{cropped(name, 40)}: {visible(headline)}"


def _heading(told: list[str], compared: Comparison) -> str:
    first, *others = told
    lines = [row(font(bold(line), INK, 15, raw=True), wide=line) for line in _lines(first)]
    found = compared.divergence
    if found is not None and found.at is not None:
        place = f"{visible(found.at.place)}  {cropped(found.at.expression, 60)}"
        lines.append(row(font(place, INK, 10, MONO), wide=place))
    small = [line for text in others for line in _lines(text, _SMALL_CELLS)]
    lines += [row(font(line, FAINT, 10), wide=line) for line in small]
    return table(*lines, row(" "))


def _lines(text: str, cells: int = _CELLS) -> list[str]:
    return wrapped(text[: 4 * cells], cells)


def _column(drawn: list[Row], side: int) -> list[Shape]:
    shapes: list[Shape] = []
    for number, each in enumerate(drawn):
        pair = each.pair
        if pair is None:
            title, _, detail = each.told.partition(", ")
            state = shapes[-1].look if shapes else LOOKS["live"]
            shape = Shape(str(number), "box3d", False, False, state, title, "", (detail,), "", "")
        else:
            shape = _shape(str(number), pair, each.states[side], side)
        shapes.append(shape)
    return shapes


def _shape(key: str, pair: StagePair, told: str, side: int) -> Shape:
    """A stage: its norm where gradient comes to it, else what is the matter."""
    state = _STATES.get(told, "live")
    ends = pair.step is None
    tag = where("", pair.step, pair.call).removeprefix(", ") if not ends else ""
    beside = f"  x {ratio(pair.ratio)}" if side and pair.ratio is not None else ""
    lines = (f"|grad| {told}{beside}",) if told[:1].isdigit() else ()
    words = "not there" if told == "not there" else LOOKS[state].words
    apart = side == 1 and bool(pair.parts) and pair.parts[0] != "value"
    tooltip = cropped(f"{pair.name}: {told}", 200)
    return Shape(
        key, "box", True, apart, LOOKS[state], cropped(pair.name, 30), tag, lines, words, tooltip
    )


def _wires(column: list[Shape], compared: Comparison, side: int) -> Iterator[Wire]:
    """Arrows down a column; where gradient ends between two stages the arrow is cut."""
    found = compared.divergence
    label = ""
    if side == 1 and found is not None and found.finding is not None:
        label = label_of(compared.findings[found.finding].finding)
    for upper, lower in pairwise(column):
        live = upper.look not in (LOOKS["lost"], LOOKS["unknown"])
        if live and lower.look is LOOKS["lost"]:
            told = f"{CROSS} {cropped(label, 40)}".rstrip()
            label = ""
            yield Wire(upper.key, lower.key, LOOKS["cut"], 2.4, f"\u00a0{told}", told)
        else:
            yield Wire(upper.key, lower.key, upper.look, 1.4, "", "")
