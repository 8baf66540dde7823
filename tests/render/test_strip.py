"""The strip: the run from leaf to root in one line, with the break where it happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings

from gradprobe.records.report import Answer, GradStats, Layer, Report, Stage, Verdict
from gradprobe.render.plain import visible
from gradprobe.render.states import LIVE, LOST, MISSED, UNKNOWN
from gradprobe.render.strip import CUT, Word, strip
from tests.render.hostile import hostile_reports
from tests.render.samples import GRAD, SAMPLES, broken, call, flows, partial, stage, steps

Z0, LOSS = stage("z0", None, "yes"), stage("loss", None, "yes")


def told(report: Report) -> str:
    return " ".join(word.shown for word in strip(report))


def of(stages: Sequence[Stage], report: Report | None = None) -> str:
    return told(replace(report or broken(), stages=tuple(stages), calls=()))


def step(number: int, *names: tuple[str, Answer]) -> list[Stage]:
    return [stage(name, number, answer) for name, answer in names]


def lost(stages: Sequence[Stage]) -> list[Stage]:
    return [replace(each, connected={"z0": "no"}) for each in stages]


def test_a_broken_run_names_the_rule_between_two_stages() -> None:
    assert told(broken()) == (
        "z0 --> start_state --x GP102..> [steps 0-2: step_input, denoised_output, step_noise]"
        " ..> [step 3: step_input, denoised_output] ..> final_output ..> loss"
    )


def test_a_healthy_run_has_whole_arrows() -> None:
    assert told(flows()) == (
        "z0 --> [steps 0-48: step_input, denoised_output, step_noise]"
        " --> [step 49: step_input, denoised_output] --> final_output --> loss"
    )


def test_a_denoiser_that_gradient_goes_past_is_marked_in_its_step() -> None:
    assert told(partial()) == (
        "z0 --> [steps 0-48: step_input, x denoised_output, step_noise]"
        " --> [step 49: step_input, x denoised_output] --> final_output --> loss"
    )
    states = {word.shown.strip("x ,]"): word.state for word in strip(partial())}
    assert states["denoised_output"] == MISSED
    assert states["[step 49: step_input"] == LIVE


def test_a_break_between_two_steps() -> None:
    early, late = steps(4, "yes")[:6], lost(steps(4, "no")[6:])
    assert of([Z0, *early, *late, *lost([LOSS])]) == (
        "z0 --> [steps 0-1: step_input, denoised_output, step_noise]"
        " --x GP102..> [step 2: step_input, denoised_output, step_noise]"
        " ..> [step 3: step_input, denoised_output] ..> loss"
    )


def test_a_break_within_a_step() -> None:
    records = [
        Z0,
        *step(0, ("step_input", "yes"), ("denoised_output", "no"), ("step_noise", "no")),
        *step(1, ("step_input", "no"), ("denoised_output", "no")),
        *lost([LOSS]),
    ]
    assert of(records) == (
        "z0 --> [step 0: step_input --x GP102..> denoised_output, step_noise]"
        " ..> [step 1: step_input, denoised_output] ..> loss"
    )


def test_a_break_behind_the_last_step() -> None:
    assert of([Z0, *steps(2, "yes")[3:], *lost([LOSS])]) == (
        "z0 --> [step 1: step_input, denoised_output] --x GP102..> loss"
    )


def test_calls_are_no_news_where_nothing_arrives() -> None:
    report = replace(broken(), stages=(Z0, *steps(2, "yes")[3:], *lost([LOSS])))
    assert "x denoised_output" not in told(report)


@pytest.mark.parametrize("dead", [0, 1])
def test_one_of_two_calls_of_a_step_is_told_apart(dead: int) -> None:
    outputs = [stage("denoised_output", 0, "yes", call=number) for number in (0, 1)]
    calls = [call(0, "no" if number == dead else "yes", "yes", number) for number in (0, 1)]
    report = replace(flows(), stages=(Z0, *outputs, LOSS), calls=tuple(calls))
    names = ["denoised_output", "denoised_output"]
    names[dead] = f"x {names[dead]}"
    assert told(report) == f"z0 --> [step 0: {', '.join(names)}] --> loss"


def test_the_first_step_starts_from_the_start_state() -> None:
    start = stage("start_state", None, "yes")
    rest = [record for record in steps(5, "yes") if record.step]
    first = step(0, ("denoised_output", "yes"), ("step_noise", "no"))
    assert of([Z0, start, *first, *rest, LOSS], flows()) == (
        "z0 --> start_state --> [steps 0-3: step_input, denoised_output, step_noise]"
        " --> [step 4: step_input, denoised_output] --> loss"
    )
    apart = of([Z0, start, *lost(first), *rest, LOSS], partial())
    assert "[step 0: denoised_output, step_noise]" in apart


def test_noise_behind_the_final_output_is_the_last_step_s() -> None:
    final = stage("final_output", None, "yes")
    records = [
        Z0,
        *step(0, ("denoised_output", "yes")),
        final,
        *step(0, ("step_noise", "no")),
        LOSS,
    ]
    assert of(records, flows()) == (
        "z0 --> [step 0: denoised_output, step_noise] --> final_output --> loss"
    )


@pytest.mark.parametrize(
    ("live", "word"),
    [(0, "x denoised_output"), (1, "denoised_output partly"), (2, "denoised_output")],
)
def test_what_guidance_made_of_two_calls_is_told_by_both(live: int, word: str) -> None:
    guided = stage("denoised_output", 0, "yes", call=None)
    calls = [call(0, "yes" if number < live else "no", "yes", number) for number in (0, 1)]
    records = (Z0, stage("step_input", 0, "yes"), guided, LOSS)
    report = replace(flows(), stages=records, calls=tuple(calls))
    assert told(report) == f"z0 --> [step 0: step_input, {word}] --> loss"


def test_behind_what_is_lost_a_root_is_live_by_another_way() -> None:
    records = [Z0, *lost(steps(1, "yes")), LOSS]
    assert of(records, partial()) == ("z0 --x..> [step 0: step_input, denoised_output] ..> loss")
    assert strip(replace(partial(), stages=tuple(records), calls=()))[-1].state == LIVE


def test_another_run_s_records_are_not_on_the_way() -> None:
    other = [replace(each, connected={"z0": "unknown"}) for each in steps(3, "yes")]
    assert of([Z0, *other, *steps(1, "yes"), LOSS], flows()) == (
        "z0 --> [step 0: step_input, denoised_output] --> loss"
    )


def test_calls_alike_are_counted() -> None:
    outputs = [stage("denoised_output", 0, "yes", call=number) for number in (0, 1)]
    assert of([Z0, *outputs, LOSS], flows()) == "z0 --> [step 0: denoised_output x2] --> loss"


def test_noise_is_lost_only_where_a_finding_says_so() -> None:
    records = [Z0, *step(0, ("step_input", "yes"), ("step_noise", "no")), LOSS]
    assert of(records, flows()) == "z0 --> [step 0: step_input, step_noise] --> loss"
    finding = replace(partial().findings[0], stage="step_noise")
    report = replace(flows(), findings=(finding,))
    assert of(records, report) == "z0 --> [step 0: step_input, x step_noise] --> loss"


def test_what_is_not_known_is_asked() -> None:
    records = [Z0, *step(0, ("step_input", "unknown"), ("denoised_output", "unknown")), LOSS]
    records = [*records[:1], *[replace(each, source="declared") for each in records[1:]]]
    assert of(records) == "z0 -?-> [step 0: step_input, denoised_output] --> loss"
    mixed = [records[0], stage("step_input", 0, "yes"), records[2], LOSS]
    assert of(mixed) == "z0 --> [step 0: step_input, denoised_output ?] --> loss"
    assert {word.state for word in strip(replace(broken(), stages=tuple(records)))} >= {UNKNOWN}


ZEROS = GradStats(0.0, 0.0, 0.0, 0.0, 1.0, 0)
NANS = GradStats(float("nan"), float("nan"), float("nan"), 0.0, 0.0, 192)


@pytest.mark.parametrize(
    ("verdict", "grad", "arrow"), [("zero", ZEROS, "-0->"), ("nonfinite", NANS, "-!->")]
)
def test_what_arrives_and_is_worth_nothing_is_marked_up_to_where_it_became_so(
    verdict: Verdict, grad: GradStats, arrow: str
) -> None:
    sound = GRAD
    stages = [
        stage("z0", None, "yes", grad),
        stage("step_output", 0, "yes"),  # not measured: as its neighbours are
        stage("step_output", 1, "yes", grad),
        stage("step_output", 2, "yes", sound),
        stage("loss", None, "yes", sound),
    ]
    leaf = replace(flows().leaves[0], verdict=verdict, grad=grad)
    report = replace(flows(), leaves=(leaf,), verdict=verdict)
    assert of(stages, report) == (
        f"z0 {arrow} [steps 0-1: step_output] {arrow} [step 2: step_output] --> loss"
    )
    flowing = replace(report, leaves=(replace(leaf, verdict="partial"),), verdict="partial")
    assert arrow not in of(stages, flowing), "a branch's own zero is not the run's"


def test_what_was_made_without_the_leaf_is_no_part_of_its_way() -> None:
    """Learned step noise: the start state and the first denoised output have nothing of it."""
    start = stage("start_state", None, "no")
    first = step(0, ("denoised_output", "no"), ("step_output", "yes"))
    second = step(1, ("denoised_output", "yes"), ("step_output", "yes"))
    stages = [Z0, start, *first, *second, LOSS]
    assert of(stages, flows()) == (
        "z0 --> [step 0: step_output] --> [step 1: denoised_output, step_output] --> loss"
    )
    assert "start_state" in of(stages, broken())


def test_two_codes_name_none() -> None:
    report = broken()
    other = replace(report.findings[0], code="GP101")
    report = replace(report, findings=(*report.findings, other))
    assert "start_state --x..> [steps 0-2" in told(report)


def test_stages_outside_of_steps_are_counted() -> None:
    marks = [stage("d", None, "yes")] * 40
    assert of([Z0, *marks, LOSS], flows()) == "z0 --> d x40 --> loss"


def test_the_strip_is_of_the_leaf_that_fared_worst() -> None:
    (leaf,) = broken().leaves
    well = replace(leaf.layers, connected=Layer("yes", ""))
    leaves = (leaf, replace(leaf, name="w", verdict="flows", layers=well))
    records = [replace(each, connected={**each.connected, "w": "yes"}) for each in broken().stages]
    other = replace(Z0, name="w", connected={"z0": "unknown", "w": "yes"})
    report = replace(broken(), leaves=leaves, stages=(records[0], other, *records[1:]))
    assert told(report) == told(broken())


def test_a_leaf_and_a_root_alone_are_no_strip() -> None:
    assert strip(replace(broken(), stages=(Z0, LOSS))) == []
    assert strip(replace(broken(), leaves=())) == []
    assert strip(SAMPLES["empty"]()) == []


def test_a_run_that_never_repeats_is_bounded_and_keeps_its_break() -> None:
    live = [record for i in range(300) for record in step(i, (f"a{i}", "yes"))]
    dead = [record for i in range(300, 600) for record in step(i, (f"a{i}", "no"))]
    words = strip(replace(broken(), stages=(Z0, *live, *dead, *lost([LOSS]))))
    text = " ".join(word.shown for word in words)
    assert "[step 299: a299] --x GP102..> [step 300: a300]" in text
    assert text.count("...") == 2
    assert len(words) < 40
    assert [word.state for word in words if word.arrow].count(CUT) == 1


def test_a_step_of_many_stages_is_bounded() -> None:
    names = [(f"s{i}", "yes") for i in range(30)]
    text = of([Z0, *step(0, *[(name, "yes") for name, _ in names]), LOSS], flows())
    assert text == "z0 --> [step 0: s0, s1, s2, s3, s4, 25 more] --> loss"


def test_each_arrow_leads_to_a_word() -> None:
    for build in SAMPLES.values():
        words = strip(build())
        assert not any(first.arrow and second.arrow for first, second in pairwise(words))
        assert not words or not (words[0].arrow or words[-1].arrow)


@settings(max_examples=60, deadline=None)
@given(hostile_reports())
def test_any_names_stay_short_and_printable(report: Report) -> None:
    for word in strip(report):
        assert isinstance(word, Word)
        assert word.shown == visible(word.shown)
        assert word.state in (LIVE, LOST, MISSED, UNKNOWN, CUT, "partly", "-")
        assert len(word.shown) < 80
