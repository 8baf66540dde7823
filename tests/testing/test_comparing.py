"""Two runs with one gradient, and a run beside its snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import gradprobe
from gradprobe.errors import GradientLost, UsageError
from gradprobe.records.report import Finding, Report
from gradprobe.records.source import Frame
from gradprobe.testing import (
    ProbedTest,
    assert_matches_snapshot,
    assert_same_gradient,
    structure,
)
from gradprobe.testing.asserting import Snapshots

HERE = Path(__file__)


def sampled(steps: int = 3, scale: float = 1.0, cut: bool = False) -> Report:
    torch.manual_seed(0)
    model = nn.Linear(4, 4)
    with gradprobe.Probe(find_stages="declared") as probe:
        z0 = torch.ones(2, 4, requires_grad=True)
        x = 2.0 * z0
        for step in range(steps):
            seen = x.detach() if cut else x
            denoised = gradprobe.tap("denoised", model(seen), step=step)
            x = x + 0.5 * (denoised - x)
        loss = scale * x.sum()
        loss.backward()
    return probe.report()


HEALTHY = sampled()
CUT = sampled(cut=True)
LINE = 1 + next(
    i
    for i, line in enumerate(HERE.read_text(encoding="utf-8").splitlines())
    if line.strip() == "seen = x.detach() if cut else x"
)
TEXT = """\
gradprobe.structure/1
root: loss (backward)
leaf z0: flows (connected: yes, complete: yes, healthy: yes)
stage z0: z0 yes
stage denoised at 3 steps, 0 to 2: z0 yes
stage loss: z0 yes
calls of Linear: 3, through 3 to z0
findings: none
"""


def test_the_same_run_has_the_same_gradient() -> None:
    assert_same_gradient(HEALTHY, sampled())
    assert_same_gradient(HEALTHY, sampled(scale=1.0 + 1e-5), rtol=1e-3)


def test_another_gradient_is_shown_where_it_differs_first() -> None:
    with pytest.raises(GradientLost) as lost:
        assert_same_gradient(HEALTHY, CUT)
    said = str(lost.value).splitlines()
    assert said[0] == "two gradients are not the same: 3 of 5 records"
    assert said[1] == "first at z0"
    assert any(line.startswith("-denoised at step 0: (") for line in said)
    assert any(line.startswith("+denoised at step 0: ") for line in said)
    assert not any("step 2" in line for line in said if line[0] in "+-")
    [found] = [line for line in said if line.startswith("second run: GP101 detached at ")]
    assert f"{HERE}:{LINE}:" in found
    assert any(line.startswith("first run: flows") for line in said)


def test_numbers_apart_from_the_tolerance_or_a_record_more_are_a_difference() -> None:
    with pytest.raises(GradientLost, match="4 of 5 records"):
        assert_same_gradient(HEALTHY, sampled(scale=1.0 + 1e-3), rtol=1e-5)
    with pytest.raises(GradientLost, match=r"\+denoised at step 3: "):
        assert_same_gradient(HEALTHY, sampled(steps=4))


def test_the_structure_holds_no_number_of_a_machine() -> None:
    assert structure(HEALTHY, HERE.parent) == TEXT
    assert structure(sampled(scale=3.0), HERE.parent) == TEXT
    assert structure(sampled(steps=50)).count("\n") == TEXT.count("\n")


def test_findings_are_named_by_file_and_function() -> None:
    [line] = [one for one in structure(CUT, HERE.parent).splitlines() if "finding" in one]
    assert line == "finding GP101 (warning) of z0 in test_comparing.py:sampled"
    finding = CUT.findings[0]
    at = Frame("/opt/x/site-packages/lib/s.py", 3, 3, 0, 1, "Sampler.<locals>.step", "")
    other: Finding = replace(finding, at=at, allowed=True)
    text = structure(replace(CUT, findings=(other, other)), HERE.parent)
    assert "finding GP101 (warning, allowed) of z0 in lib/s.py:Sampler.step x2\n" in text


def test_a_snapshot_is_written_on_demand_and_then_compared(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "run.txt"
    with pytest.raises(GradientLost, match=r"no snapshot \S+run.txt: write it with --gradprobe-up"):
        assert_matches_snapshot(HEALTHY, file)
    assert_matches_snapshot(HEALTHY, file, update=True)
    assert file.read_bytes() == TEXT.encode()
    assert_matches_snapshot(HEALTHY, file)


def test_a_lost_way_or_step_is_shown_beside_the_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "run.txt"
    assert_matches_snapshot(HEALTHY, file, update=True)
    with pytest.raises(GradientLost) as lost:
        assert_matches_snapshot(CUT, file, picture_dir=tmp_path)
    said = str(lost.value)
    assert said.startswith(f"the gradient's structure is not that of {file}\n")
    assert "\n-calls of Linear: 3, through 3 to z0\n" in said
    assert "through 0 to z0\n" in said
    assert f"GP101 detached at {HERE}:{LINE}:" in said
    assert (tmp_path / "gradprobe-z0.svg").exists()
    with pytest.raises(GradientLost, match=r"\+stage denoised at 2 steps, 0 to 1: z0 yes"):
        assert_matches_snapshot(sampled(steps=2), file)


def test_a_test_s_snapshots_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("test_it[a-b]", "test_it[a/b]", "test_it"):
        probed = ProbedTest(snapshots=Snapshots(tmp_path, name, update=True))
        with probed.start():
            torch.ones(2, requires_grad=True).sum().backward()
        probed.assert_matches_snapshot()
    probed.assert_matches_snapshot("named")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert {"named.txt", "test_it.txt"} < set(names)
    elsewhere = ProbedTest()
    with elsewhere.start(), pytest.raises(UsageError, match="give it a name"):
        elsewhere.assert_matches_snapshot()
