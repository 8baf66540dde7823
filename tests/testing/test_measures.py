"""Assertions on ways and numbers: what they pass, and the place that a failure names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import gradprobe
from gradprobe.errors import GradientLost
from gradprobe.records.report import LeftOut, Report
from gradprobe.registry import renderers
from gradprobe.testing import (
    assert_finite,
    assert_flows,
    assert_grad_norm,
    assert_no_cut,
    assert_reaches,
    assert_saved_bytes,
)

HERE = Path(__file__)


def place_of(text: str) -> str:
    lines = HERE.read_text(encoding="utf-8").splitlines()
    return f"{HERE}:{next(i for i, line in enumerate(lines, 1) if line.strip() == text)}:"


class Denoiser(nn.Linear):
    pass


def sampled(cut: bool = False, scale: float = 1.0, **asked: object) -> Report:
    torch.manual_seed(0)
    model = Denoiser(4, 4)
    with gradprobe.Probe(**asked) as probe:  # type: ignore[arg-type]
        z0 = torch.ones(2, 4, requires_grad=True)
        x = 2.0 * z0
        for step in range(3):
            seen = x.detach() if cut and step == 1 else x
            denoised = gradprobe.tap("denoised", model(seen), step=step)
            x = x + 0.5 * (denoised - x)
        loss = scale * x.square().sum()
        loss.backward()
    return probe.report()


HEALTHY = sampled()
CUT = sampled(cut=True)
ZERO = sampled(scale=0.0)
INFINITE = sampled(scale=float("inf"))
DETACH = "seen = x.detach() if cut and step == 1 else x"
TAP = 'denoised = gradprobe.tap("denoised", model(seen), step=step)'


def failure(assertion: object, *asked: object, **more: object) -> list[str]:
    with pytest.raises(GradientLost) as lost:
        assertion(*asked, **more)  # type: ignore[operator]
    return str(lost.value).splitlines()


def test_all_hold_for_a_healthy_sampler() -> None:
    for denoiser in (Denoiser, Denoiser(1, 1), "Denoiser"):
        assert_flows(HEALTHY, "z0", "loss", through=denoiser)
    assert_no_cut(HEALTHY)
    assert_reaches(HEALTHY, "denoised")
    assert_reaches(HEALTHY, "denoised", 2)
    assert_grad_norm(HEALTHY, "z0", between=(1e-3, 1e3))
    assert_finite(HEALTHY)
    assert_finite(HEALTHY, "denoised", "z0")


def test_a_call_that_is_not_live_is_named(tmp_path: Path) -> None:
    said = failure(assert_flows, CUT, "z0", through="Denoiser", picture_dir=tmp_path)
    assert said[0].startswith("gradient of z0: partial; GP101 detached at " + place_of(DETACH))
    accepted = sampled(cut=True, allow="GP101")
    assert_flows(accepted)
    said = failure(assert_flows, accepted, through=Denoiser, picture_dir=tmp_path)
    assert said[0] == "gradient of z0 misses 1 of 3 calls of Denoiser"
    assert said[1].startswith(f"step 1, call 0 of Denoiser ({place_of(TAP)}")
    assert place_of(DETACH) in said[2]
    assert said[2].startswith("GP101 detached (allowed) at ")
    assert said[-1].startswith(f"p{'age' if 'html' in renderers else 'icture'}: {tmp_path}")


def test_a_denoiser_that_was_never_called_is_not_live() -> None:
    [said] = failure(assert_flows, HEALTHY, through="UNet")
    assert said == (
        "no call of 'UNet' was seen between z0 and the root (calls of: Denoiser); "
        "name the denoiser at the start: denoiser='UNet'"
    )


def test_a_page_is_written_where_there_is_a_renderer_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**renderers, "html": "gradprobe.render.notebook:Notebook"}
    monkeypatch.setattr(renderers, "_all", known)
    said = failure(assert_no_cut, CUT, picture_dir=tmp_path)
    assert said[-2] == f"picture: {tmp_path}/gradprobe-z0.svg"
    assert said[-1] == f"page: {tmp_path}/gradprobe-z0.html"
    assert (tmp_path / "gradprobe-z0.html").stat().st_size > 0


def test_a_cut_is_named(tmp_path: Path) -> None:
    said = failure(assert_no_cut, CUT, picture_dir=tmp_path)
    assert said[0] == "a way from z0 to the root is cut"
    assert said[1].startswith("GP101 detached at " + place_of(DETACH))
    assert_no_cut(sampled(cut=True, allow="GP101"))


def test_a_way_that_carries_zero_or_nan_is_not_cut() -> None:
    assert (ZERO.verdict, INFINITE.verdict) == ("zero", "nonfinite")
    assert_no_cut(ZERO)
    assert_no_cut(INFINITE)


def test_a_cut_beside_zeros_is_a_cut() -> None:
    both = sampled(cut=True, scale=0.0)
    assert both.verdict == "zero"
    assert failure(assert_no_cut, both)[1].startswith("GP101 detached at " + place_of(DETACH))
    # The unexplained zero stands at the backward; the cut is told beside it.
    said = failure(assert_flows, both)
    assert said[0].startswith("gradient of z0: zero; GP114 unexplained at ")
    assert said[2].startswith("GP101 detached at " + place_of(DETACH))
    assert said[3].startswith("fix: ")


def test_zeros_on_a_way_that_is_not_complete_are_a_cut() -> None:
    leaf = ZERO.leaves[0]
    complete = replace(leaf.layers.complete, answer="no", sentence="one way is dead")
    dead = replace(leaf, layers=replace(leaf.layers, complete=complete))
    said = failure(assert_no_cut, replace(ZERO, leaves=(dead,), findings=()))
    assert said == ["a way from z0 to the root is cut", ZERO.headline]


def test_a_flat_op_is_a_cut() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        (z0.round() + z0).sum().backward()
    line = place_of("(z0.round() + z0).sum().backward()")
    assert failure(assert_no_cut, probe.report())[1].startswith("GP301 flat-op at " + line)


def test_no_way_at_all_is_cut() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        (z0.detach() + torch.ones(2, requires_grad=True)).sum().backward()
    said = failure(assert_no_cut, probe.report())
    assert re.match(rf"gradient of z0: broken; GP101 detached at {re.escape(str(HERE))}", said[0])


def test_what_was_left_out_or_not_seen_is_not_judged() -> None:
    hidden = replace(HEALTHY, left_out=(LeftOut("GP102", "warning", 2),))
    [said] = failure(assert_no_cut, hidden)
    assert said == "GP102 was found and left out (select, ignore): not judged"
    leaf = HEALTHY.leaves[0]
    complete = replace(leaf.layers.complete, answer="unknown", sentence="a thread ran")
    unseen = replace(leaf, layers=replace(leaf.layers, complete=complete))
    [said] = failure(assert_no_cut, replace(HEALTHY, leaves=(unseen,)))
    assert said == "whether a way from z0 is cut is not known: a thread ran"


def test_a_stage_that_gradient_does_not_reach_is_named_with_its_step() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        x = z0
        for step in range(2):
            gradprobe.tap("beside", x.tanh(), step=step)
            x = 2.0 * x
        x.sum().backward()
    said = failure(assert_reaches, probe.report(), "beside", 1)
    where = place_of('gradprobe.tap("beside", x.tanh(), step=step)')
    assert said[0].startswith(f"beside at step 1 ({where}")
    assert said[0].endswith("): no gradient arrived")
    assert said[1] == probe.report().headline
    assert len(failure(assert_reaches, probe.report(), "beside")) == 3
    said = failure(assert_reaches, ZERO, "denoised", 0)
    assert said[0].startswith(f"denoised at step 0 ({place_of(TAP)}")
    assert said[0].endswith("): its gradient is exactly zero")


def test_a_step_that_was_not_recorded_is_told() -> None:
    [said] = failure(assert_reaches, HEALTHY, "denoised", 7)
    assert said.startswith(
        "stage 'denoised' was not recorded at step 7 (steps: 0 to 2); the last is denoised at "
    )
    assert failure(assert_reaches, HEALTHY, "x")[0].startswith("no stage named 'x' was recorded")


def test_a_norm_outside_the_range_is_named_with_its_step() -> None:
    said = failure(assert_grad_norm, HEALTHY, "denoised", between=(1e3, 1e4))
    norm = next(r.grad.norm for r in HEALTHY.stages if r.name == "denoised" and r.grad)
    assert said[0].startswith(f"denoised at step 0 ({place_of(TAP)}")
    assert said[0].endswith(
        f"): the norm of its gradient is {norm:.6g}, not between 1000 and 10000"
    )
    assert [line.partition(" (")[0] for line in said[1:3]] == [
        "denoised at step 1",
        "denoised at step 2",
    ]
    assert_grad_norm(HEALTHY, "denoised", between=(norm, norm), step=0)
    assert len(failure(assert_grad_norm, HEALTHY, "denoised", between=(2 * norm, 1e9), step=0)) == 2
    assert (
        "is nan" in failure(assert_grad_norm, INFINITE, "z0", between=(0, 1))[0]
        or "is inf" in (failure(assert_grad_norm, INFINITE, "z0", between=(0, 1))[0])
    )
    with pytest.raises(ValueError, match="the lower end comes first"):
        assert_grad_norm(HEALTHY, "z0", between=(2, 1))


def test_what_is_not_finite_is_named_with_its_step() -> None:
    said = failure(assert_finite, INFINITE, "denoised")
    assert said[0].startswith(f"denoised at step 0 ({place_of(TAP)}")
    assert said[0].endswith("): 8 elements of its gradient are NaN or Inf")
    assert any(line.startswith(("GP302 ", "GP114 ")) for line in said)
    assert failure(assert_finite, INFINITE)[0].startswith("z0 (")


def test_values_that_are_not_finite_fail_too() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        gradprobe.tap("noise", torch.full((2,), float("nan")))
        z0.sum().backward()
    said = failure(assert_finite, probe.report())
    assert said[0].startswith("noise (")
    assert said[0].endswith("): 2 elements of its values are NaN or Inf")
    assert failure(assert_finite, probe.report(), "z0", "noise")[1].endswith("no gradient arrived")
    bare = replace(HEALTHY, stages=tuple(replace(s, grad=None) for s in HEALTHY.stages))
    assert failure(assert_finite, bare)[0].startswith("no gradient arrived anywhere: ")


def test_saved_bytes_are_compared_where_they_are_known() -> None:
    known = replace(HEALTHY, counts=replace(HEALTHY.counts, saved_bytes=1000))
    assert_saved_bytes(known, below=1001)
    assert failure(assert_saved_bytes, known, below=1000) == [
        "1000 bytes were saved for backward, not below 1000"
    ]
    unknown = replace(HEALTHY, counts=replace(HEALTHY.counts, saved_bytes=None))
    assert "is not known" in failure(assert_saved_bytes, unknown, below=10**12)[0]
