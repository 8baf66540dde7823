"""The text report: exact on the samples, and well-behaved on anything."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from gradprobe.records.report import DenoiserCall, Report
from gradprobe.records.source import Frame
from gradprobe.render.call_rows import call_rows
from gradprobe.render.plain import place
from gradprobe.render.text import Text
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.samples import (
    DECORATOR,
    DENOISE,
    DETACH,
    HOME,
    SAMPLES,
    broken,
    call,
    flows,
    partial,
    stage,
)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def shown(report: Report, **options: object) -> list[str]:
    return report.render("text", base=HOME, **options).splitlines()


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_look_like_this(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.txt", SAMPLES[name]().render("text", base=HOME))


@pytest.mark.parametrize(
    ("build", "at"), [(broken, DENOISE), (broken, DECORATOR), (partial, DETACH)]
)
def test_the_source_line_is_underlined_under_the_expression(
    build: Callable[[], Report], at: Frame
) -> None:
    lines = shown(build())
    here = next(
        i
        for i, line in enumerate(lines)
        if f"{line} ".partition("--> ")[2].startswith(f"{place(at, HOME)} ")
    )
    code = next(i for i in range(here, here + 4) if " | " in lines[i])
    start, end = lines[code + 1].index("^"), lines[code + 1].rindex("^") + 1
    assert lines[code][start:end] == at.expression
    assert lines[code].split(" | ")[0].strip() == str(at.line)


def test_the_sentence_comes_first_and_names_the_verdict() -> None:
    assert shown(broken())[0].startswith("broken: No gradient reaches z0")
    assert shown(flows())[0] == flows().headline


def test_the_cause_comes_before_the_op_that_was_lost() -> None:
    lines = shown(broken())
    cause = next(i for i, line in enumerate(lines) if line.startswith("  cause --> "))
    lost = next(i for i, line in enumerate(lines) if line.startswith("  lost at --> "))
    assert cause < lost
    assert place(DECORATOR, HOME) in lines[cause]
    assert place(DENOISE, HOME) in lines[lost]


def test_a_finding_that_is_its_own_cause_has_one_place() -> None:
    text = "\n".join(shown(partial()))
    assert f"\n  --> {place(DETACH, HOME)}" in text
    assert "cause -->" not in text


def test_what_the_probe_took_is_told_with_its_units() -> None:
    assert shown(broken())[-1] == "61.5 kB of records, 0.02 s traced, 0.00 s to diagnose"


def test_a_healthy_run_is_short() -> None:
    lines = shown(flows())
    assert len(lines) <= 22
    assert "0-48  14.6..0.3  49 steps, healthy  live" in "\n".join(lines)
    assert not any("fix:" in line or "^" in line for line in lines)


def test_color_adds_nothing_but_color() -> None:
    for build in SAMPLES.values():
        plain, colored = shown(build()), shown(build(), color=True)
        assert [ANSI.sub("", line).rstrip() for line in colored] == plain
        assert not any("\x1b" in line for line in plain)
        assert any(ANSI.search(line) for line in colored)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "colored"),
    [(Terminal, "", True), (Terminal, "1", False), (io.StringIO, "", False)],
)
def test_color_is_for_terminals_that_want_it(
    stream: type[io.StringIO], no_color: str, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b" in Text(color=None).render(broken())) is colored


def test_the_environment_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shown(broken()), shown(broken(), color=True)
    for name, value in {
        "COLUMNS": "33",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "FORCE_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert (shown(broken()), shown(broken(), color=True)) == before


def test_many_findings_and_stages_stay_a_page() -> None:
    report = broken()
    finding = report.findings[0]
    report = replace(
        report,
        findings=(finding,) * 300 + (replace(finding, severity="note"),) * 300,
        stages=tuple(stage(f"s{i}", i, "no", grad_fn=str(i)) for i in range(10_000)),
        leaves=report.leaves * 100,
        unseen=("something",) * 500,
    )
    lines = shown(report)
    assert len(lines) < 420
    assert "290 more findings; the JSON report has them all." in lines
    assert "290 more notes; the JSON report has them all." in lines
    assert any("9960 more rows" in line for line in lines)


def test_lost_steps_fold_too() -> None:
    stages = tuple(stage("state", step, "no") for step in range(50))
    lines = shown(replace(broken(), stages=stages))
    assert any(line.startswith("1-49         49 steps, alike  lost") for line in lines)


def test_steps_that_differ_do_not_fold() -> None:
    stages = tuple(stage("state", step, "yes" if step % 2 else "no") for step in range(20))
    lines = shown(replace(broken(), stages=stages))
    assert sum(" state  " in line for line in lines) == 20


def test_the_strip_stands_above_the_table_and_wraps_before_an_arrow() -> None:
    lines = shown(broken())
    first = lines.index("stages from z0 to loss") + 1
    assert lines[first : first + 5] == [
        "  z0 --> start_state",
        "    --x GP102..> [steps 0-2: step_input, denoised_output, step_noise]",
        "    ..> [step 3: step_input, denoised_output] ..> final_output ..> loss",
        "",
        "step  sigma  stage            z0    tensor        grad_fn       |grad|",
    ]
    arrows = ("-->", "..>")
    assert not any(line.endswith(arrows) for line in lines)


@pytest.mark.parametrize("build", [broken, partial])
def test_the_page_on_stages_quotes_strips_as_they_are(build: Callable[[], Report]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stages.md").read_text(encoding="utf-8")
    lines = shown(build())
    first = lines.index("stages from z0 to loss")
    quoted = "\n".join(lines[first : lines.index("", first)])
    assert f"```text\n{quoted}\n```" in page


def test_the_break_of_the_strip_has_its_own_colour() -> None:
    text = broken().render("text", color=True)
    assert "\x1b[1;31m--x GP102..>\x1b[0m" in text
    assert "\x1b[32mstart_state\x1b[0m" in text


def test_call_and_sigma_are_columns_where_they_say_something() -> None:
    def header(report: Report) -> list[str]:
        return next(line for line in shown(report) if line.startswith("step  ")).split()

    table = ["stage", "z0", "tensor", "grad_fn", "|grad|"]
    assert header(broken()) == ["step", "sigma", *table]
    bare = tuple(replace(s, sigma=None) for s in broken().stages)
    assert header(replace(broken(), stages=bare)) == ["step", *table]
    second = (*bare, replace(stage("denoised_output", 3, "no"), sigma=None, call=1))
    assert header(replace(broken(), stages=second)) == ["step", "call", *table]


def test_calls_that_gradient_goes_past_have_rows() -> None:
    lines = shown(partial())
    first = lines.index("denoiser calls: where gradient came in, and went out")
    assert lines[first + 1 : first + 4] == [
        "step  call  sigma       denoiser    gradient",
        "0-49  0     14.6..0.29  InnerModel  in no, out yes",
        "",
    ]
    assert not any("denoiser calls: where" in line for line in shown(flows()))


def test_a_call_in_no_step_stands_apart_from_the_steps() -> None:
    rows = [
        DenoiserCall(step, 0, "Net", None, None, "no", {"z0": "no"}) for step in (0, 1, 2, 3, None)
    ]
    shown = call_rows(rows, broken().leaves[:1], 20)
    assert [(row.step, row.gradient) for row in shown] == [
        ("0-3", "in no, out no"),
        ("", "in no, out no"),
    ]


def test_calls_that_differ_have_rows_of_their_own() -> None:
    calls = [call(0, "yes", "yes"), call(0, "yes", "no", 1), call(1, "unknown", "yes")]
    lines = shown(replace(partial(), calls=tuple(calls)))
    first = lines.index("denoiser calls: where gradient came in, and went out")
    assert lines[first + 2 : first + 5] == [
        "0     0     14.6   InnerModel  in yes, out yes",
        "0     1     14.6   InnerModel  in yes, out no",
        "1     0     7.3    InnerModel  in unknown, out yes",
    ]


def test_each_leaf_has_its_own_way_out_of_a_call() -> None:
    (leaf,) = partial().leaves
    dead = replace(call(0, "yes", "no"), left={"z0": "no", "w": "yes"})
    report = replace(partial(), leaves=(leaf, replace(leaf, name="w")), calls=(dead,))
    assert any("in yes, out z0 no, w yes" in line for line in shown(report))


def test_many_calls_are_bounded() -> None:
    calls = tuple(call(i, "yes", "yes" if i % 2 else "no") for i in range(10_000))
    lines = shown(replace(partial(), calls=calls))
    assert len(lines) < 120
    assert any("9976 more rows" in line for line in lines)


def test_a_denoiser_that_gradient_misses_is_not_called_healthy() -> None:
    lines = shown(partial())
    assert any("47 steps, alike  partly" in line for line in lines)
    assert sum("denoised_output" in line and " missed " in line for line in lines) == 3


def test_fresh_noise_is_no_loss() -> None:
    lines = shown(flows())
    assert "49 steps, healthy" in "\n".join(lines)
    assert not any(" lost " in line for line in lines)


def test_records_of_another_run_are_counted() -> None:
    other = [replace(s, connected={"z0": "unknown"}) for s in broken().stages if s.step == 1]
    lines = shown(replace(broken(), stages=(*other, *broken().stages)))
    assert "3 more records, of values that feed no root" in lines
    assert [x for x in lines if x not in shown(broken())] == [
        "3 more records, of values that feed no root"
    ]
    marked = [replace(each, source="declared") for each in other]
    lines = shown(replace(broken(), stages=(*marked, *broken().stages)))
    assert sum(" unknown " in line for line in lines) == 3 + 1  # one is of the leaf's health


def test_a_narrow_page_keeps_the_grad_fn_and_gives_up_the_tensor() -> None:
    wide, narrow = shown(broken()), shown(broken(), width=64)
    assert "step  sigma  stage            z0    tensor        grad_fn       |grad|" in wide
    assert "step  sigma  stage            z0    grad_fn       |grad|" in narrow


def test_notes_are_brief() -> None:
    note = replace(broken().findings[0], severity="note", message="Only a note.")
    lines = shown(replace(flows(), findings=(note,)))
    start = lines.index("note GP102 grad-mode-off")
    assert "  Only a note." in lines[start : start + 4]
    assert not any("fix:" in line for line in lines)


@settings(max_examples=80, deadline=None)
@given(hostile_reports(), st.sampled_from((40, 80, 120)), st.booleans())
def test_any_report_keeps_to_its_width_and_steers_no_terminal(
    report: Report, width: int, color: bool
) -> None:
    text = ANSI.sub("", Text(color=color, width=width).render(report))
    text.encode("utf-8")
    assert all(char == "\n" or ord(char) >= 32 for char in text)
    frames = [report.findings[0].at, *(r.at for r in report.findings[0].related)]
    frames += filter(None, [report.findings[0].opened_by])
    places = [place(at) for at in frames]
    for line in text.split("\n"):
        assert cell_len(line) <= width or any(where in line for where in places), line


def test_markup_in_a_message_is_only_text() -> None:
    finding = replace(broken().findings[0], message="[bold]no[/bold] [/] :warning:")
    for color in (True, False):
        text = replace(broken(), findings=(finding,)).render("text", color=color)
        assert "[bold]no[/bold] [/] :warning:" in text


def test_snippets_cannot_inject_escapes() -> None:
    finding = replace(broken().findings[0], message=SNIPPETS[2])
    assert "tab\\x1b[31m\\x00\\x07" in replace(broken(), findings=(finding,)).render("text")
