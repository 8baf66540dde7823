"""The timeline as Perfetto's own trace processor has it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradprobe.records.report import BackwardPass, Report
from tests.render.hostile import SNIPPETS, hostile_reports, is_shown, words_of
from tests.render.machine.trace_processor import Rows, asked
from tests.render.samples import BACKWARD, GRAD, HOME, SAMPLES, broken, call, flows, stage

SLICES = """
    select slice.ts / 1000 as ts, slice.dur / 1000 as dur, slice.category as cat, slice.name,
      depth, thread.name as track, arg_set_id
    from slice join thread_track on track_id = thread_track.id join thread using (utid)
    order by slice.id"""
COUNTERS = """
    select ts / 1000 as ts, name, value
    from counter join counter_track on track_id = counter_track.id order by counter.id"""
ARGUMENTS = "select arg_set_id, key, display_value from args"
FAILURES = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"
METADATA = "select name from process"
SLICE = {"ph": "X", "pid": 1, "tid": 1, "name": "a", "ts": 0, "dur": 4}
QUERIES = (SLICES, COUNTERS, ARGUMENTS, FAILURES, METADATA)


class Timeline:
    """What the processor made of one trace."""

    def __init__(self, answers: list[Rows]) -> None:
        self.slices, self.counters, arguments, self.failures, self.processes = answers
        self._arguments: dict[int, dict[str, str]] = {}
        for row in arguments:
            of_set = self._arguments.setdefault(row["arg_set_id"], {})
            of_set[row["key"].removeprefix("args.")] = row["display_value"]

    def of(self, cat: str) -> Rows:
        return [row for row in self.slices if row["cat"] == cat]

    def args(self, row: dict[str, Any]) -> dict[str, str]:
        return self._arguments[row["arg_set_id"]]


def timelines(*reports: Report) -> list[Timeline]:
    traces = [report.render("perfetto", base=HOME) for report in reports]
    return [Timeline(answers) for answers in asked(traces, QUERIES)]


def test_every_record_is_a_slice_within_its_step() -> None:
    reports = [SAMPLES[name]() for name in SAMPLES]
    for report, read in zip(reports, timelines(*reports), strict=True):
        assert read.failures == []
        stages = read.of("stage")
        assert [row["name"] for row in stages] == [stage.name for stage in report.stages]
        assert [row["depth"] for row in stages] == [int(s.step is not None) for s in report.stages]
        starts = [row["ts"] for row in stages]
        assert starts == sorted(set(starts))
        for step in read.of("step"):
            within = [
                f"step {stage.step}"
                for stage, row in zip(report.stages, stages, strict=True)
                if step["ts"] <= row["ts"] and row["ts"] + row["dur"] <= step["ts"] + step["dur"]
            ]
            assert within
            assert set(within) == {step["name"]}
        leaves = [f"{leaf.name}: {leaf.verdict}" for leaf in report.leaves]
        assert [row["name"] for row in read.of("leaf")] == leaves
        assert len(read.of("denoiser")) == len(report.calls)


def test_the_processor_refuses_what_is_no_trace() -> None:
    untimed = SLICE | {"ts": "soon"}
    for text in (broken().render("perfetto")[:-40], json.dumps({"traceEvents": [untimed]})):
        with pytest.raises(AssertionError, match="incomplete"):
            asked([text], QUERIES)


def test_the_processor_tells_slices_that_overlap() -> None:
    events = [SLICE | {"ts": ts} for ts in (0, 2)]
    (answers,) = asked([json.dumps({"traceEvents": events})], QUERIES)
    assert Timeline(answers).failures


def test_a_record_has_its_statistics() -> None:
    (read,) = timelines(flows())
    row = next(row for row in read.of("stage") if row["name"] == "step_input")
    record = next(stage for stage in flows().stages if stage.name == "step_input")
    assert record.grad is not None
    told = read.args(row)
    assert float(told["grad_norm"]) == record.grad.norm
    assert told["shape"] == "1x4x8x8"
    assert told["at"].endswith(f"sampling.py:{record.at.line}:{record.at.col + 1}")


def test_norms_are_counters_of_their_stage() -> None:
    (read,) = timelines(flows())
    shown = [r["value"] for r in read.counters if r["name"] == "step_input gradient norm"]
    norms = [s.grad.norm for s in flows().stages if s.name == "step_input" and s.grad is not None]
    assert shown == pytest.approx(norms, rel=1e-12)
    assert len(shown) == 50


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_word_and_no_counter(bad: float) -> None:
    record = stage("x", 0, "yes", replace(GRAD, norm=bad), sigma=bad)
    (read,) = timelines(replace(flows(), stages=(record,)))
    assert read.failures == []
    assert "x gradient norm" not in {row["name"] for row in read.counters}
    told = read.args(read.of("stage")[0])
    assert (told["grad_norm"], told["sigma"]) == (str(bad), str(bad))


def test_a_finding_stands_at_its_record() -> None:
    finding = replace(broken().findings[0], step=2)
    (read,) = timelines(replace(broken(), findings=(finding,)))
    (row,) = read.of("finding")
    assert (row["name"], row["dur"]) == (f"{finding.code} {finding.name}", 0)
    at = [
        record["ts"]
        for stage, record in zip(broken().stages, read.of("stage"), strict=True)
        if (stage.name, stage.step) == (finding.stage, 2)
    ]
    assert at == [row["ts"]]
    told = read.args(row)
    assert told["message"] == finding.message
    assert told["at"].endswith(f"sampling.py:{finding.cause.line}:1")
    assert told["lost_at"].endswith(f"sampling.py:{finding.at.line}:{finding.at.col + 1}")


@pytest.mark.parametrize(
    ("where", "first"),
    [
        ({"stage": "never seen", "step": 1}, "step 1"),
        ({"stage": "start_state", "step": None}, "start_state"),
        ({"stage": "never seen", "step": None}, "z0"),
        ({"stage": None, "step": None}, "z0"),
        ({"stage": None, "step": 99}, "z0"),
    ],
)
def test_a_finding_without_a_record_stands_as_near_as_is_known(
    where: dict[str, Any], first: str
) -> None:
    finding = replace(broken().findings[0], **where)
    text = replace(broken(), findings=(finding,)).render("perfetto")
    events = json.loads(text)["traceEvents"]
    (at,) = (event["ts"] for event in events if event.get("cat") == "finding")
    assert at == next(event["ts"] for event in events if event["name"] == first)


def test_calls_share_their_step_and_never_overlap() -> None:
    calls = (
        *(call(0, "yes", "yes", number) for number in range(3)),
        call(2, "no", "no"),
        call(1, "yes", "no"),
        call(None, "yes", "yes"),
        call(77, "yes", "yes"),
    )
    (read,) = timelines(replace(broken(), calls=calls))
    assert read.failures == []
    rows = read.of("denoiser")
    assert len(rows) == len(calls)
    assert {row["depth"] for row in rows} == {0}
    step = next(row for row in read.of("step") if row["name"] == "step 0")
    assert rows[0]["ts"] == step["ts"]
    assert rows[2]["ts"] + rows[2]["dur"] <= step["ts"] + step["dur"]
    assert rows[3]["ts"] == next(r["ts"] for r in read.of("step") if r["name"] == "step 2")
    assert read.args(rows[0])["left_z0"] == "yes"


def test_backward_follows_the_records_and_says_what_it_reached() -> None:
    passes = (
        BackwardPass(0, "backward", BACKWARD, {"z0": GRAD}),
        BackwardPass(1, "grad", None, {"z0": None}, raised="no graph"),
    )
    (read,) = timelines(replace(flows(), passes=passes))
    first, second = read.of("backward")
    assert first["ts"] >= max(row["ts"] + row["dur"] for row in read.of("stage"))
    assert second["ts"] >= first["ts"] + first["dur"]
    assert float(read.args(first)["norm_z0"]) == GRAD.norm
    assert read.args(second)["norm_z0"] == "no gradient"
    assert read.args(second)["raised"] == "no graph"


def test_that_there_are_no_times_is_said() -> None:
    (read,) = timelines(broken())
    assert any("no times" in (row["name"] or "") for row in read.processes)
    assert "no times" in json.loads(broken().render("perfetto"))["otherData"]["clock"]


def test_an_empty_report_is_a_trace() -> None:
    nothing = replace(flows(), stages=(), calls=(), findings=(), leaves=(), passes=())
    (read,) = timelines(nothing)
    assert (read.failures, read.slices) == ([], [])


def test_the_file_may_be_named_by_both_suffixes(tmp_path: Path) -> None:
    for name in ("run.perfetto.json", "perfetto.json", "run.perfetto"):
        text = broken().save(tmp_path / name, base=HOME).read_text("utf-8")
        assert text == broken().render("perfetto", base=HOME)
    assert broken().save(tmp_path / "run.json").read_text("utf-8") == broken().render("json")


def test_names_that_break_formats_reach_the_processor() -> None:
    stages = tuple(stage(text, 0, "yes", GRAD, dtype=text) for text in SNIPPETS)
    finding = broken().findings[0]
    findings = tuple(replace(finding, name=text, message=text, leaf=text) for text in SNIPPETS)
    (read,) = timelines(replace(broken(), stages=stages, findings=findings))
    assert read.failures == []
    assert len(read.of("stage")) == len(read.of("finding")) == len(SNIPPETS)
    names = {row["name"] for row in read.slices}
    assert "(no name)" in names
    assert "" not in names


@pytest.mark.parametrize("text", ["\U0001f600", 'say "\U0001f600\U00101abc"'])
def test_a_character_beyond_16_bits_is_shown(text: str) -> None:
    finding = replace(broken().findings[0], name=text, message=text)
    (read,) = timelines(replace(broken(), findings=(finding,)))
    (row,) = read.of("finding")
    assert read.failures == []
    assert row["name"] == f"{finding.code} {text}"
    assert read.args(row)["message"] == text


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(hostile_reports(), min_size=8, max_size=8))
def test_the_processor_takes_any_report(reports: list[Report]) -> None:
    for report, read in zip(reports, timelines(*reports), strict=True):
        assert read.failures == []
        for cat, shown in (
            ("stage", report.stages),
            ("denoiser", report.calls),
            ("finding", report.findings),
            ("leaf", report.leaves),
        ):
            assert len(read.of(cat)) == len(shown)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile_reports())
def test_any_report_is_json_without_nan(report: Report) -> None:
    text = report.render("perfetto")
    text.encode("utf-8")
    trace = json.loads(text, parse_constant=pytest.fail)
    assert all(map(is_shown, words_of(trace)))
    assert text == report.render("perfetto")
