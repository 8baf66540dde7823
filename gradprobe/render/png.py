"""The picture as PNG, laid out and painted by Graphviz, for where an SVG cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import Report
from gradprobe.render.dot import source
from gradprobe.render.layout import paint
from gradprobe.render.raw import raw_dot
from gradprobe.render.scene import scene
from gradprobe.render.zoom import Drawn, zoomed


@dataclass(frozen=True, slots=True)
class Png:
    """`dpi` are pixels to the inch, of which a line of text takes about a sixth.

    The other options are those of `Svg`.
    """

    engine: Literal["pure", "dot"] = "pure"
    raw: bool = False
    depth: Drawn = "auto"
    focus: str | None = None
    dpi: int = 144

    def render(self, report: Report) -> bytes:
        """The bytes of the image. Raises as `Svg.render` does."""
        drawn = zoomed(report, self.depth, self.focus)
        return paint(raw_dot(drawn) if self.raw else source(scene(drawn)), self.engine, self.dpi)
