"""Healthy samplers of libraries beside the same with a break in them: the line is named."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks.breaks.mutants import Workbench
from benchmarks.breaks.operators import OPERATORS
from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.azula import programs as azula
from benchmarks.breaks.programs.by_hand import programs as by_hand
from benchmarks.breaks.programs.diffusers import programs as diffusers
from benchmarks.breaks.programs.k_diffusion import programs as k_diffusion
from benchmarks.breaks.programs.res import programs as res
from benchmarks.breaks.programs.torchdiffeq import programs as torchdiffeq
from benchmarks.breaks.truth import COUNTS
from gradprobe.compare import compare
from gradprobe.records.report import Report

LIBRARIES = (azula, by_hand, diffusers, k_diffusion, res, torchdiffeq)
PAIRS = [
    ("azula/ddim", "detach"),
    ("by_hand/guided_twice", "no_grad"),
    ("by_hand/inpainting", "data_write"),
    ("diffusers/ddim", "numpy"),
    ("diffusers/euler", "zero_factor"),
    ("diffusers/heun", "integer_cast"),
    ("diffusers/dpmsolver-2m", "inference_mode"),
    ("k_diffusion/euler", "item"),
    ("k_diffusion/heun", "round"),
    ("res/1euler-off", "copy"),
    ("res/2mid-from_z0", "saved_result"),
    ("torchdiffeq/rk4", "frozen"),
]


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    with warnings.catch_warnings():  # diffusers' own
        warnings.simplefilter("ignore", DeprecationWarning)
        return {program.name: program for library in LIBRARIES for program in library()}


@pytest.mark.parametrize(("name", "operator"), PAIRS)
def test_the_line_that_was_changed_is_named(
    name: str, operator: str, programs: dict[str, Program], tmp_path: Path
) -> None:
    bench, by = Workbench(programs[name], seed=1, folder=tmp_path), OPERATORS[operator]
    good = bench.healthy_report(by.leaf)
    site = next(site for site in bench.drawn(by) if bench.judge(site, by).truth in COUNTS)
    bad = bench.report(site, by)
    file = bench.mutant(site, by).file
    compared = compare(good, bad)
    assert not compared.same
    assert compared.worst_new() in ("error", "warning")
    assert compared.divergence is not None
    at = compared.divergence.at
    assert at is not None
    assert Path(at.file).name == file
    assert site.whole.line <= at.line <= site.whole.end_line
    for report in (good, bad):
        again = compare(report, report)
        assert again.same
        assert again.worst_new() is None
    assert_turned(good, bad)


def assert_turned(good: Report, bad: Report) -> None:
    """What is new one way is gone the other."""
    there, back = compare(good, bad), compare(bad, good)
    for change, other in (("new", "gone"), ("gone", "new"), ("same", "same")):
        one = sorted(c.finding.code for c in there.findings if c.change == change)
        assert one == sorted(c.finding.code for c in back.findings if c.change == other)
    assert [pair.there for pair in there.stages].count((True, True)) == [
        pair.there for pair in back.stages
    ].count((True, True))
