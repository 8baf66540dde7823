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
from gradprobe.render.zoom import Drawn, zoomed


@dataclass(frozen=True, slots=True)
class Svg:
    """`engine`: `pure` is the bundled graphviz-pure, `dot` the system's Graphviz.

    `raw` draws the autograd graph as torchviz gave it instead of the bounded picture. `depth` is
    how much a box holds: a `stage` of the run, a `step`, what a function of the network did
    (`module`), an `op`; `focus` a code or the number of a finding, to draw around it alone.
    """

    engine: Literal["pure", "dot"] = "pure"
    raw: bool = False
    depth: Drawn = "auto"
    focus: str | None = None

    def render(self, report: Report) -> str:
        """SVG text, the same bytes for the same report and engine.

        Raises `UsageError` when the engine is missing, when `raw` is asked of a report without an
        autograd graph, and for a depth or a focus that the picture does not have; `TooLarge` when
        the autograd graph is more than dot can lay out.
        """
        report = zoomed(report, self.depth, self.focus)
        dot = raw_dot(report) if self.raw else source(scene(report))
        what = "The autograd graph." if self.raw else describe(report.picture)
        return finish(lay_out(dot, self.engine), visible(report.headline), what)
