"""What a downstream test asserts on hook records, and what it is told when one fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gradprobe
from gradprobe.errors import GradientLost
from gradprobe.records.report import Complete, DenoiserCall, Report, Severity, Stage
from gradprobe.testing import (
    ProbedTest,
    assert_complete,
    assert_flows,
    assert_healthy,
    assert_no_findings,
    assert_records,
)

FILE = Path(__file__).name


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.strip() == text)


def sampled(cut: bool = False, scale: float = 1.0, flat: bool = False, **asked: object) -> Report:
    """Three steps with a tap in each; with `cut` the denoiser sees nothing of z0."""
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    with gradprobe.Probe(**asked) as probe:
        z0 = torch.ones(2, 4, requires_grad=True)
        x = 2.0 * z0
        for step in range(3):
            seen = x.detach() if cut else x
            denoised = gradprobe.tap("denoised", model(seen), step=step)
            x = x + 0.5 * (denoised - x)
        if flat:
            x = x + x.round()
        loss = scale * x.square().sum()
        loss.backward()
    return probe.report()


HEALTHY = sampled()
DEAD = sampled(cut=True)
DETACH = "seen = x.detach() if cut else x"
TAP = 'denoised = gradprobe.tap("denoised", model(seen), step=step)'
DETACHED = f"{FILE}:{line_of(DETACH)}:"
TAPPED = f"{FILE}:{line_of(TAP)}:"


def test_all_hold_for_a_healthy_sampler() -> None:
    assert_flows(HEALTHY)
    assert_complete(HEALTHY)
    assert_complete(HEALTHY, "z0", calls=3)
    assert_healthy(HEALTHY)
    assert_healthy(HEALTHY, "denoised", "z0", max_zero_fraction=0.0)
    assert_no_findings(HEALTHY, "note")
    records = assert_records(HEALTHY, "denoised", steps=range(3), count=3)
    assert [record.step for record in records] == [0, 1, 2]
    assert all(isinstance(record, Stage) and record.shape == (2, 4) for record in records)


def failure(report: Report, assertion: object, *asked: object, **more: object) -> list[str]:
    with pytest.raises(GradientLost) as lost:
        assertion(report, *asked, **more)  # type: ignore[operator]
    assert isinstance(lost.value, AssertionError)
    return str(lost.value).splitlines()


# Complete: through the denoiser, not round it.


def test_a_gradient_that_goes_round_the_denoiser_is_not_complete(tmp_path: Path) -> None:
    assert DEAD.verdict == "partial"
    said = failure(DEAD, assert_complete, picture_dir=tmp_path)
    assert said[0].startswith("gradient of z0 is not complete: ")
    [cause] = [line for line in said if line.startswith("GP101 detached at ")]
    assert DETACHED in cause
    assert said[said.index(cause) + 1].startswith("fix: ")
    [drawn] = [line for line in said if line.startswith("picture: ")]
    picture = Path(drawn.removeprefix("picture: "))
    assert picture.parent == tmp_path
    assert picture.read_text().startswith("<svg")


def with_calls(complete: Complete, *calls: DenoiserCall) -> Report:
    leaf = HEALTHY.leaves[0]
    layers = replace(leaf.layers, complete=complete)
    return replace(HEALTHY, leaves=(replace(leaf, layers=layers),), calls=calls)


def test_each_dead_call_is_named_and_no_more_than_five() -> None:
    at = HEALTHY.stages[1].at
    live = DenoiserCall(0, 0, "Linear", at, None, "yes", {"z0": "yes"})
    dead = [DenoiserCall(step, 1, "Linear", at, None, "yes", {"z0": "no"}) for step in range(7)]
    no = Complete("no", "1 of 8 denoiser calls carry gradient", 1, 8)
    said = failure(with_calls(no, live, *dead), assert_complete)
    assert at is not None
    assert said[:2] == [
        "gradient of z0 is not complete: 1 of 8 denoiser calls carry gradient",
        f"step 0, call 1 of Linear ({at.place}): gradient entered: yes, left towards z0: no",
    ]
    assert said[6] == "and 2 more calls"
    assert said[7] == HEALTHY.headline  # without a finding, the report's sentence


def test_without_a_denoiser_nothing_is_claimed() -> None:
    none = with_calls(Complete("yes", "every way that was seen carries gradient"))
    [said] = failure(none, assert_complete)
    assert said.startswith("no denoiser call was found between z0 and the root; name the denoiser")
    unknown = with_calls(Complete("unknown", "part of the way ran in code that was not seen"))
    assert "part of the way ran" in failure(unknown, assert_complete)[0]


def test_the_number_of_calls_is_exact() -> None:
    [said] = failure(HEALTHY, assert_complete, calls=4)
    assert said == "3 denoiser calls were found between z0 and the root, not 4"


# Records.


def test_missing_records_are_named() -> None:
    [said] = failure(HEALTHY, assert_records, "denoised", steps=range(4))
    assert said.startswith(
        "stage 'denoised' was recorded at steps 0, 1, 2, not 0, 1, 2, 3: none at 3; "
        "the last is denoised at step 2 ("
    )
    assert TAPPED in said
    [said] = failure(HEALTHY, assert_records, "denoised", count=6)
    assert said.startswith("stage 'denoised' has 3 records, not 6; the last is denoised at step 2")
    [said] = failure(HEALTHY, assert_records, "denoised", steps=[0, 1])
    assert said.startswith("stage 'denoised' was recorded at steps 0, 1, 2, not 0, 1: the last is")


def test_an_unknown_stage_is_told_the_nearest_and_what_became_of_its_selector() -> None:
    [said] = failure(HEALTHY, assert_records, "denoissed")
    assert said.startswith("no stage named 'denoissed' was recorded; there are denoised")
    report = sampled(stages=["noise=absent.py:f:eps"])
    [said] = failure(report, assert_records, "noise")
    assert said.startswith(
        "no stage named 'noise' was recorded; stage selector noise=absent.py:f:eps: no code of "
    )


# Healthy: finite, not zero.


def test_a_gradient_that_is_zero_is_named_by_stage_step_and_place() -> None:
    report = sampled(scale=0.0)
    said = failure(report, assert_healthy, "denoised")
    assert [line.partition(" (")[0] for line in said[:3]] == [
        f"denoised at step {step}" for step in range(3)
    ]
    assert all(
        TAPPED in line and line.endswith("its gradient is exactly zero") for line in said[:3]
    )
    assert failure(report, assert_healthy)[0].startswith("z0 (")


def test_a_gradient_that_is_not_finite_is_named() -> None:
    said = failure(sampled(scale=float("inf")), assert_healthy, "denoised")
    assert said[0].startswith("denoised at step 0 (")
    assert said[0].endswith("8 elements of its gradient are NaN or Inf")


def test_no_gradient_at_a_named_stage_fails() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        x = gradprobe.tap("start_state", 2.0 * z0)
        with torch.no_grad():
            denoised = gradprobe.tap("denoised", x.tanh(), step=0)
        (z0 + denoised + x.detach()).sum().backward()
    report = probe.report()
    assert_healthy(report)  # z0 has a gradient, and no stage has a bad one
    said = failure(report, assert_healthy, "start_state", "denoised")
    assert said[0].startswith("start_state (")
    assert said[0].endswith("no gradient arrived, though it is connected to z0")
    assert said[1].startswith("denoised at step 0 (")
    assert said[1].endswith(": no gradient arrived")


def test_a_leaf_without_a_gradient_fails() -> None:
    bare = replace(HEALTHY, stages=tuple(replace(s, grad=None) for s in HEALTHY.stages))
    said = failure(bare, assert_healthy)
    assert said[0].startswith("z0 (")
    assert said[0].endswith("no gradient arrived, though it is connected to z0")


def test_mostly_zero_fails_where_it_is_asked_for() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.linspace(-1.0, 1.0, 10).requires_grad_()
        z0.clamp(min=0.7).sum().backward()
    assert_healthy(probe.report())
    said = failure(probe.report(), assert_healthy, max_zero_fraction=0.5)
    assert said[0].startswith("z0 (")
    assert said[0].endswith("80.0% of its gradient is zero")


def test_an_unknown_leaf_fails() -> None:
    for assertion in (assert_complete, assert_healthy):
        more = {} if assertion is assert_complete else {"leaf": "z1"}
        asked = ("z1",) if assertion is assert_complete else ()
        [said] = failure(HEALTHY, assertion, *asked, **more)
        assert said.startswith("no leaf named 'z1' was seen (leaves: z0)")


# Findings, and what is allowed.


@pytest.mark.parametrize("at_least", ["warning", "note"])
def test_findings_are_listed(at_least: Severity) -> None:
    report = sampled(cut=True, flat=True)
    said = failure(report, assert_no_findings, at_least)
    assert said[0] == "2 findings, the first for z0"
    assert DETACHED in said[1]
    assert said[2].startswith("fix: ")
    assert said[3].startswith("GP301 flat-op at ")
    assert_no_findings(report, "error")


def test_what_is_allowed_may_be_lost_beside_a_way_that_is_live() -> None:
    report = sampled(cut=True, flat=True, allow=["GP101", "GP301"])
    assert_no_findings(report, "note")
    assert_flows(report)
    assert report.verdict == "partial"
    one = sampled(cut=True, flat=True, allow=["GP301"])
    assert failure(one, assert_flows)[0].startswith("gradient of z0: partial; GP101 detached at ")
    assert failure(one, assert_no_findings)[0] == "1 finding, the first for z0"


def test_what_is_allowed_does_not_stand_for_a_gradient() -> None:
    def lost() -> Tensor:
        z0 = torch.ones(2, requires_grad=True)
        return (z0.detach() + torch.ones(2, requires_grad=True)).sum()

    with gradprobe.Probe(leaves="z0", allow="GP101") as probe:
        lost().backward()
    report = probe.report()
    assert (report.verdict, report.worst()) == ("broken", None)
    [head, *_] = failure(report, assert_flows)
    assert head.startswith("gradient of z0: broken; GP101 detached (allowed) at ")


def test_what_is_left_out_is_not_allowed_by_that() -> None:
    report = sampled(cut=True, flat=True, allow="GP301", ignore="GP1")
    assert_no_findings(report)
    [said, *_] = failure(report, assert_flows)
    assert said.startswith("gradient of z0: partial; GP301 flat-op (allowed) at ")
    every = sampled(cut=True, flat=True, select="GP2")
    [said] = failure(every, assert_flows)
    assert said.startswith("gradient of z0: partial; partial: z0 has a gradient, ")
    assert said.endswith("; its findings are left out (select, ignore)")
    assert_flows(sampled(cut=True, flat=True, allow=["GP101", "GP301"], ignore="GP306"))


# The same in a test.


def test_the_fixture_offers_them_all(tmp_path: Path) -> None:
    def run(probed: ProbedTest, cut: bool) -> None:
        model = nn.Linear(4, 4)
        with probed.start(stages=[f"denoised={FILE}:{run.__qualname__}:denoised"]):
            z0 = torch.ones(2, 4, requires_grad=True)
            x = 2.0 * z0
            for _ in range(3):
                denoised = model(x.detach() if cut else x)
                x = x + 0.5 * (denoised - x)
            x.square().sum().backward()

    probed = ProbedTest(tmp_path)
    run(probed, cut=False)
    probed.assert_flows()
    probed.assert_complete(calls=3)
    probed.assert_healthy("denoised")
    probed.assert_no_findings()
    assert len(probed.assert_records("denoised", count=3)) == 3

    run(probed, cut=True)
    for failing in (probed.assert_flows, probed.assert_complete, probed.assert_no_findings):
        with pytest.raises(GradientLost, match=r"GP101 [^\0]*picture: .*gradprobe-z0.svg"):
            failing()
    with pytest.raises(GradientLost, match="no leaf named 'z9' was seen"):
        probed.start(leaves="z9").assert_healthy("z9")
    probed.stop()
