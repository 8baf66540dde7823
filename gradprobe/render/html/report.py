"""The report as a page that people look at: one file, for any browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import Report
from gradprobe.render.html.document import document
from gradprobe.render.html.drawing import levels


@dataclass(frozen=True, slots=True)
class Html:
    """Paths are relative to `base` (None: current directory). `engine` is that of `Svg`."""

    base: str | None = None
    engine: Literal["pure", "dot"] = "pure"

    def render(self, report: Report) -> str:
        """An HTML document, the same bytes for the same report and base.

        A picture that cannot be drawn is a sentence in its place.
        """
        return document(report, levels(report, self.engine), self.base)
