"""Graphs and node data as Model Explorer's own code has them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradprobe.errors import UnknownName
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import Report
from gradprobe.render.looks import LOOKS
from tests.render.hostile import SNIPPETS, hostile_reports, is_shown, words_of
from tests.render.machine.graph_worker import laid_out
from tests.render.samples import GRAD, HOME, SAMPLES, broken, flows, partial, stage

PICTURE, RECORDS = "picture", "hook records"


def graphs(*reports: Report) -> list[dict[str, Any]]:
    collections = [report.render("model_explorer", base=HOME) for report in reports]
    return laid_out(collections, [report.render("node_data") for report in reports])


def written(report: Report) -> dict[str, Any]:
    collection = json.loads(report.render("model_explorer", base=HOME))
    return {graph["id"]: graph for graph in collection["graphs"]}


def data(report: Report, **options: Any) -> dict[str, Any]:
    text = report.render("node_data", **options)
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return found


def ops(graph: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in graph["nodes"] if node["nodeType"] == 0]


def groups(graph: dict[str, Any]) -> list[str]:
    return [node["label"] for node in graph["nodes"] if node["nodeType"] == 1]


def test_the_worker_lays_out_every_box_and_record() -> None:
    reports = [SAMPLES[name]() for name in SAMPLES]
    for report, made in zip(reports, graphs(*reports), strict=True):
        assert set(made) == {
            *([PICTURE] if report.picture.boxes or not report.stages else []),
            *([RECORDS] if report.stages else []),
        }
        if PICTURE in made:
            boxes = ops(made[PICTURE])
            assert [node["label"] for node in boxes] == [box.label for box in report.picture.boxes]
            arrows = sum(len(node.get("incomingEdges", [])) for node in boxes)
            assert arrows == len({(a.tail, a.head) for a in report.picture.arrows})
        if RECORDS in made:
            records = ops(made[RECORDS])
            assert [node["label"] for node in records] == [s.name for s in report.stages]
            tails = [[edge["sourceNodeId"] for edge in n.get("incomingEdges", [])] for n in records]
            assert tails == [[], *([node["id"]] for node in records[:-1])]
            steps = dict.fromkeys(s.step for s in report.stages if s.step is not None)
            assert groups(made[RECORDS]) == [f"step {step}" for step in steps]
        for graph in made.values():
            roots = [node for node in graph["nodes"] if not node.get("nsParentId")]
            assert all("x" in node and "y" in node for node in roots)


def test_what_is_no_graph_is_refused() -> None:
    collection = json.loads(broken().render("model_explorer"))
    collection["graphs"][0]["nodes"][0]["colour"] = "red"
    with pytest.raises(AssertionError, match="colour"):
        laid_out([json.dumps(collection)])
    collection = json.loads(broken().render("model_explorer"))
    collection["graphs"][0]["nodes"][0]["id"] = ""
    with pytest.raises(AssertionError, match="empty strings as ids"):
        laid_out([json.dumps(collection)])
    known = broken().render("model_explorer")
    with pytest.raises(AssertionError, match="norm"):
        laid_out([known], [json.dumps({PICTURE: {"results": {}, "norm": 1}})])


def test_a_cut_has_its_finding_and_an_overlay() -> None:
    finding = broken().findings[0]
    picture = written(broken())[PICTURE]
    cut = next(node for node in picture["nodes"] if node["label"] == "model")
    told = {pair["key"]: pair["value"] for pair in cut["attrs"]}
    assert told["state"] == "cut"
    assert told["GP102 message"] == finding.message
    assert told["GP102 at"].endswith(f"sampling.py:{finding.cause.line}:1")
    assert cut["style"]["borderColor"] == LOOKS["cut"].line
    (overlays,) = picture["tasksData"]["edgeOverlaysDataListLeftPane"]
    (lost,) = (overlay for overlay in overlays["overlays"] if overlay["name"] == "cut")
    (edge,) = lost["edges"]
    assert edge["targetNodeId"] == cut["id"]
    assert edge["label"] == "GP102 sampling.py:132"
    assert picture["groupNodeAttributes"][""]["headline"] == broken().headline


def test_a_step_has_its_calls_and_a_record_its_state() -> None:
    records = written(partial())[RECORDS]
    attributes = records["groupNodeAttributes"]
    assert "entered: no" in attributes["step 0"]["denoiser call 0 (InnerModel)"]
    assert "no dataflow" in attributes[""]["edges"]
    states = [
        next(s for s, look in LOOKS.items() if look.line == node["style"]["borderColor"])
        for node in written(broken())[RECORDS]["nodes"]
    ]
    assert states[:3] == ["live", "live", "lost"]


def test_a_step_with_one_record_is_a_group_too() -> None:
    report = replace(flows(), stages=(stage("x", None, "yes"), stage("x", 3, "yes")))
    (made,) = graphs(report)
    assert groups(made[RECORDS]) == ["step 3"]


def test_node_data_is_of_nodes_that_there_are() -> None:
    for name in SAMPLES:
        report = SAMPLES[name]()
        nodes = {key: {n["id"] for n in graph["nodes"]} for key, graph in written(report).items()}
        for graph, found in data(report).items():
            assert set(found["results"]) <= nodes[graph]


def test_the_norm_of_a_record_is_its_node_s() -> None:
    found = data(flows())[RECORDS]
    assert found["name"] == "grad_norm"
    norms = {f"n{n}": s.grad.norm for n, s in enumerate(flows().stages) if s.grad is not None}
    assert {node: result["value"] for node, result in found["results"].items()} == norms
    assert len(norms) > 50


def test_another_statistic_can_be_asked_for() -> None:
    found = data(flows(), statistic="value_std")[RECORDS]
    stds = [s.value.std for s in flows().stages if s.value is not None]
    assert [result["value"] for result in found["results"].values()] == stds
    with pytest.raises(UnknownName, match="grad_norm"):
        flows().render("node_data", statistic="grad_nrm")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_word(bad: float) -> None:
    record = stage("x", 0, "yes", replace(GRAD, norm=bad), sigma=bad)
    report = replace(flows(), stages=(record, replace(record, grad=replace(GRAD, norm=0.0))))
    spoilt, zero = data(report)[RECORDS]["results"].values()
    assert spoilt == {"value": str(bad), "bgColor": LOOKS["nonfinite"].fill}
    assert zero == {"value": 0.0, "bgColor": LOOKS["zero"].fill}
    (made,) = graphs(report)
    assert ops(made[RECORDS])[0]["attrs"]["grad_norm"] == str(bad)


def test_an_empty_report_is_an_empty_graph() -> None:
    report = replace(flows(), stages=(), picture=Picture())
    (made,) = graphs(report)
    assert made[PICTURE]["nodes"] == []
    assert data(report) == {PICTURE: {"name": "gradient", "results": {}}}


def test_files_are_told_apart_by_both_suffixes(tmp_path: Path) -> None:
    for format in ("model_explorer", "node_data"):
        for name in (f"run.{format}.json", f"{format}.json", f"run.{format}"):
            text = broken().save(tmp_path / name).read_text("utf-8")
            assert text == broken().render(format)


def test_names_that_break_formats_reach_the_worker() -> None:
    boxes = tuple(Box(f"{n}{t}", "op", t, t, "cut", step=n) for n, t in enumerate(SNIPPETS))
    ends = zip(boxes, (*boxes[1:], boxes[0]), strict=True)
    arrows = tuple(Arrow(a.key, b.key, "cut", b.label, 0) for a, b in ends)
    stages = tuple(stage(text, 0, "yes", GRAD, dtype=text) for text in SNIPPETS)
    (made,) = graphs(replace(broken(), picture=Picture(boxes, arrows), stages=stages))
    for graph in made.values():
        assert len(ops(graph)) == len(SNIPPETS)
        assert all(node["label"] for node in graph["nodes"])
    assert groups(made[RECORDS]) == ["step 0"]


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(hostile_reports(), min_size=8, max_size=8))
def test_the_worker_takes_any_report(reports: list[Report]) -> None:
    for report, made in zip(reports, graphs(*reports), strict=True):
        for graph, shown in ((PICTURE, report.picture.boxes), (RECORDS, report.stages)):
            if shown:
                assert len(ops(made[graph])) == len(shown)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile_reports())
def test_any_report_is_json_without_nan(report: Report) -> None:
    for format in ("model_explorer", "node_data"):
        text = report.render(format)
        text.encode("ascii")
        found = json.loads(text, parse_constant=pytest.fail)
        assert all(map(is_shown, words_of(found)))
        assert text == report.render(format)
