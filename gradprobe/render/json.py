"""The report as JSON text, for programs."""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.records.codec import dumps
from gradprobe.records.report import Report


@dataclass(frozen=True, slots=True)
class Json:
    """`indent` as in `json.dumps`: None writes one line."""

    indent: int | None = 2

    def render(self, report: Report) -> str:
        """JSON text that `gradprobe.load` reads back and the packaged schema describes."""
        return dumps(report, self.indent) + "\n"
