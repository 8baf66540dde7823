"""Graphs for Model Explorer: the picture from leaf to root, and the hook records by step.

Format: the JSON of a graph collection, as `graph_builder.py` of Google's ai-edge-model-explorer
describes it. What is measured at the nodes is a file of its own, of the format `node_data`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gradprobe.records.picture import Arrow, Box, State
from gradprobe.records.report import Report, Stage
from gradprobe.render.looks import LOOKS
from gradprobe.render.machine import facts
from gradprobe.render.machine.facts import shown
from gradprobe.render.plain import cropped, place
from gradprobe.render.states import LIVE, LOST, MISSED, MIXED, States, common

PICTURE: Final = "picture"
RECORDS: Final = "hook records"
_WIDEST = 80
_STATES: dict[str, State] = {LIVE: "live", MIXED: "partial", LOST: "lost", MISSED: "lost"}

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelExplorer:
    """Paths are relative to `base` (None: the current directory). `indent` as in `json.dumps`."""

    base: str | None = None
    indent: int | None = 2

    def render(self, report: Report) -> str:
        """One collection with the graphs that there is something to show in, or an empty one."""
        graphs = [self._picture(report), self._records(report)]
        collection = {
            "label": "gradprobe",
            "graphs": [graph for graph in graphs if graph["nodes"]] or graphs[:1],
            "graphSorting": "name_desc",
        }
        return json.dumps(collection, indent=self.indent, allow_nan=False) + "\n"

    def _picture(self, report: Report) -> dict[str, Any]:
        """Boxes and arrows as they are drawn elsewhere; overlays tell the arrows' states apart."""
        boxes, arrows = report.picture.boxes, report.picture.arrows
        ids = {box.key: node_id(n) for n, box in enumerate(boxes)}
        kept = [arrow for arrow in arrows if arrow.tail in ids and arrow.head in ids]
        nodes = [self._box(box, kept, ids, report) for box in boxes]
        overlays = [_overlay(state, kept, ids) for state in LOOKS]
        told = {"type": "edge_overlays", "name": "gradient", "overlays": [o for o in overlays if o]}
        return {
            "id": PICTURE,
            "nodes": nodes,
            "groupNodeAttributes": {"": self._about(report)},
            "tasksData": {"edgeOverlaysDataListLeftPane": [told]},
        }

    def _box(
        self, box: Box, arrows: Sequence[Arrow], ids: Mapping[str, str], report: Report
    ) -> Node:
        at = None if box.at is None else place(box.at, self.base)
        told = {"kind": box.kind, "state": box.state, "detail": box.detail, "at": at}
        into = [arrow for arrow in arrows if arrow.head == box.key]
        for arrow in into:
            if arrow.finding is not None and 0 <= arrow.finding < len(report.findings):
                finding = report.findings[arrow.finding]
                found = facts.of_finding(finding, self.base)
                told |= {shown(f"{finding.code} {k}"): str(v) for k, v in found.items()}
        near = box.step is not None and box.kind in ("op", "stage")
        tails = dict.fromkeys(ids[arrow.tail] for arrow in into)
        namespace = f"step {box.step}" if near else ""
        return _node(ids[box.key], box.label or box.kind, namespace, told, tails, box.state)

    def _records(self, report: Report) -> dict[str, Any]:
        """A node for each record, grouped by step; its one edge comes from the record before."""
        states = States.told_by(report)
        rows = facts.of_records(report, self.base)
        nodes = []
        for n, (stage, row) in enumerate(zip(report.stages, rows, strict=True)):
            said = common([states.of(stage, leaf.name) for leaf in report.leaves] or [""])
            tails = [node_id(n - 1)] if n else []
            state = _STATES.get(said, "unknown")
            nodes.append(_node(node_id(n), stage.name, _namespace(stage), row, tails, state))
        return {
            "id": RECORDS,
            "nodes": nodes,
            "groupNodeAttributes": {
                "": {"edges": "order of the records, no dataflow", **self._about(report)},
                **self._calls(report),
            },
            "layoutConfigs": {"keepLayersWithASingleChild": True},
        }

    def _calls(self, report: Report) -> dict[str, dict[str, str]]:
        """What the denoiser's calls did to gradient, at the group of their step."""
        steps: dict[str, dict[str, str]] = {}
        for n, call in enumerate(report.calls):
            if call.step is not None:
                told = facts.of_call(call, self.base).items()
                key = f"denoiser call {call.call} ({shown(call.name)})"
                group = steps.setdefault(f"step {call.step}", {})
                group[key if key not in group else f"{key} #{n}"] = ", ".join(
                    f"{name}: {value}" for name, value in told if name not in ("step", "call")
                )
        return steps

    def _about(self, report: Report) -> dict[str, str]:
        told = {key: str(value) for key, value in facts.of_run(report).items()}
        for n, finding in enumerate(report.findings):
            found = facts.of_finding(finding, self.base)
            name = shown(f"{finding.code} {finding.name}")
            told[f"finding {n}"] = f"{name} at {found['at']}: {found['message']}"
        return told


def node_id(number: int) -> str:
    """The id of the box or record of that number, in each graph."""
    return f"n{number}"


def _node(
    name: str,
    label: str,
    namespace: str,
    told: Mapping[str, Any],
    tails: Iterable[str],
    state: State,
) -> Node:
    look = LOOKS[state]
    attrs = [{"key": k, "value": shown(str(v))} for k, v in told.items() if v not in (None, "")]
    return {
        "id": name,
        "label": shown(cropped(label, _WIDEST)).strip() or "(no name)",
        "namespace": namespace,
        "attrs": attrs,
        "incomingEdges": [{"sourceNodeId": tail} for tail in tails],
        "style": {"backgroundColor": look.fill, "borderColor": look.line},
    }


def _namespace(stage: Stage) -> str:
    return "" if stage.step is None else f"step {stage.step}"


def _overlay(
    state: State, arrows: Sequence[Arrow], ids: Mapping[str, str]
) -> dict[str, Any] | None:
    edges = [
        {
            "sourceNodeId": ids[arrow.tail],
            "targetNodeId": ids[arrow.head],
            "label": shown(cropped(arrow.label, _WIDEST)),
        }
        for arrow in arrows
        if arrow.state == state
    ]
    return {"name": state, "edgeColor": LOOKS[state].line, "edges": edges} if edges else None
