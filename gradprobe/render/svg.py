"""The picture as SVG, laid out by Graphviz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import Report
from gradprobe.render.dot import source
from gradprobe.render.layout import lay_out
from gradprobe.render.plain import visible
from gradprobe.render.raw import raw_dot
from gradprobe.render.scene import describe, scene
from gradprobe.render.svg_tree import finish


@dataclass(frozen=True, slots=True)
class Svg:
    """`engine`: `pure` is the bundled graphviz-pure, `dot` the system's Graphviz.

    `raw` draws the autograd graph as torchviz gave it instead of the bounded picture.
    """

    engine: Literal["pure", "dot"] = "pure"
    raw: bool = False

    def render(self, report: Report) -> str:
        """SVG text, the same bytes for the same report and engine.

        Raises `UsageError` when the engine is missing or `raw` is asked of a report without an
        autograd graph, `TooLarge` when that graph is more than dot can lay out.
        """
        dot = raw_dot(report) if self.raw else source(scene(report))
        what = "The autograd graph." if self.raw else describe(report.picture)
        return finish(lay_out(dot, self.engine), visible(report.headline), what)
