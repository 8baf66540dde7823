"""Node data for the graphs that `model_explorer` writes: a statistic of each hook record.

Format: the JSON of `ModelNodeData`, as `node_data_builder.py` of Google's ai-edge-model-explorer
describes it: of each graph, by its id, the values of its nodes, by theirs.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, Final

from gradprobe.errors import UnknownName
from gradprobe.records.report import GradStats, Report, ValueStats
from gradprobe.render.looks import LOOKS
from gradprobe.render.machine.facts import plain
from gradprobe.render.machine.model_explorer import PICTURE, RECORDS, node_id

STATISTICS: Final = (
    *(f"grad_{field.name}" for field in fields(GradStats)),
    *(f"value_{field.name}" for field in fields(ValueStats)),
)
_LEAST, _MOST = "#FFFFFF", "#00806F"


@dataclass(frozen=True, slots=True)
class NodeData:
    """`statistic` is a column of `Report.table`: `grad_norm`, `value_std` ...

    A file of node data holds one. Raises `UnknownName` for a statistic that there is not.
    """

    statistic: str = "grad_norm"
    indent: int | None = 2

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise UnknownName("statistic", self.statistic, STATISTICS)

    def render(self, report: Report) -> str:
        """The states of the picture's boxes as words, and the statistic of the records.

        A record without it has no value. NaN and infinity are words, as JSON has no numbers for
        them; they and zeros have the colours that they have in pictures.
        """
        found: dict[str, dict[str, Any]] = {
            PICTURE: {"name": "gradient", "results": _states(report)},
            RECORDS: {
                "name": self.statistic,
                "results": self._values(report),
                "gradient": [{"stop": 0, "bgColor": _LEAST}, {"stop": 1, "bgColor": _MOST}],
            },
        }
        kept = {graph: data for graph, data in found.items() if data["results"]}
        return json.dumps(kept or {PICTURE: found[PICTURE]}, indent=self.indent) + "\n"

    def _values(self, report: Report) -> dict[str, Any]:
        values = {}
        for n, row in enumerate(report.table()):
            value = row[self.statistic]
            if isinstance(value, int | float):
                values[node_id(n)] = {"value": plain(value), **self._colour(value)}
        return values

    def _colour(self, value: float) -> dict[str, str]:
        if not math.isfinite(value):
            return {"bgColor": LOOKS["nonfinite"].fill}
        of_gradient = self.statistic in ("grad_norm", "grad_abs_max", "grad_abs_mean")
        return {"bgColor": LOOKS["zero"].fill} if value == 0 and of_gradient else {}


def _states(report: Report) -> dict[str, Any]:
    return {
        node_id(n): {"value": box.state, "bgColor": LOOKS[box.state].fill}
        for n, box in enumerate(report.picture.boxes)
    }
