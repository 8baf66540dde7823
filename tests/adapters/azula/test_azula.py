"""azula's samplers tell their steps and stages as its source says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.adapters.absent import load
from tests.adapters.truth import Stages, Step, Truth, holds, is_cut_off, steps_with_noise

sample: Any = load("azula.sample")
denoise: Any = load("azula.denoise")
noise: Any = load("azula.noise")

STEPS = 4
TIMES = [1.0, 0.75, 0.5, 0.25, 0.0]


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Linear(16, 4))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        answer: Tensor = self.net(torch.cat([x, t.expand(len(x), 1)], dim=1))
        return answer


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 4)


def _truth(calls: int, stages: Callable[[float, float], Stages]) -> Truth:
    """`stages` are those of a step from the time `t` to the time `s`."""
    steps = [Step(t, calls, stages(t, s)) for t, s in pairwise(TIMES)]
    return Truth([("start_state", 1.0)], steps, ["final_output"])


def _single(t: float, s: float) -> Stages:
    return ["step_input", "denoised_output", ("step_output", s)]


def _twice(second: str) -> Callable[[float, float], Stages]:
    """The second denoiser call is made at the step's beginning, or at its end."""

    def stages(t: float, s: float) -> Stages:
        again = ("denoised_output", {"t": t, "s": s}[second])
        return ["step_input", "denoised_output", again, ("step_output", s)]

    return stages


def _history(own: str | None) -> Callable[[float, float], Stages]:
    """These loop by themselves; what they keep of each step is `own`."""

    def stages(t: float, s: float) -> Stages:
        return ["denoised_output", *([own] if own else []), ("step_output", s)]

    return stages


TRUTHS = {
    "DDPMSampler": _truth(1, _single),
    "DDIMSampler": _truth(1, _single),
    "EulerSampler": _truth(1, _single),
    "HeunSampler": _truth(2, _twice("s")),
    "ItoSampler": _truth(1, _single),
    "PCSampler": _truth(2, _twice("t")),
    "zABSampler": _truth(1, _history("z_t")),
    "vABSampler": _truth(1, _history("v_t")),
    "zEABSampler": _truth(1, _history("z_t")),
    "xEABSampler": _truth(1, _history(None)),
    "REABSampler": _truth(1, _history("f_t")),
}


def _sampler(name: str) -> Any:
    denoiser = denoise.KarrasDenoiser(Backbone(), noise.VPSchedule())
    return getattr(sample, name)(denoiser, steps=STEPS, silent=True)


@pytest.mark.parametrize("name", TRUTHS)
def test_steps_and_stages(name: str, z0: Tensor) -> None:
    sampler = _sampler(name)
    report = holds(lambda x: type(sampler).__call__.__wrapped__(sampler, x), z0, TRUTHS[name])
    assert report.verdict == "flows"
    # DDIM draws noise too, which its eta of zero then takes out.
    if name != "DDIMSampler":
        drawn = name in ("DDPMSampler", "ItoSampler", "PCSampler")
        assert steps_with_noise(report) == (list(range(STEPS)) if drawn else [])


@pytest.mark.parametrize("name", ["HeunSampler", "zABSampler"])
def test_as_installed_no_step_is_connected(name: str, z0: Tensor) -> None:
    is_cut_off(_sampler(name), z0, TRUTHS[name])
