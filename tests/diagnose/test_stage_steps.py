"""A stage that the user named has the step in which its value was made, adapters or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprobe.records.report import FindStages
from tests.traced import trace

PROGRAM = """
import diffusers
import torch

torch.manual_seed(1)
model = torch.nn.Conv2d(3, 3, 3, padding=1)


def sample(z0):
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(4)
    x = z0 * 1.0
    for t in scheduler.timesteps:
        noise = model(x)
        moved = scheduler.step(noise, t, x)
        denoised = moved.pred_original_sample
        x = moved.prev_sample
    return x


z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
image = sample(z0)
preview = image.detach() * 0.5
image.square().mean().backward()
"""


@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
@pytest.mark.parametrize("find_stages", ["auto", "declared"])
def test_the_step_is_that_of_the_value(find_stages: FindStages, tmp_path: Path) -> None:
    names = {"noise": "noise", "x": "x", "denoised": "denoised"}
    stages = {name: f"sampler.py:sample:{variable}" for name, variable in names.items()}
    run = trace(tmp_path, PROGRAM, file="sampler.py", stages=stages, find_stages=find_stages)
    seen = [(s.name, s.step) for s in run.report.stages if s.source == "declared"]
    steps = [[("noise", n), ("denoised", n), ("x", n)] for n in range(4)]
    assert seen == [("x", None), *(row for step in steps for row in step)]
    levels = {s.step: s.sigma for s in run.report.stages if s.name == "denoised"}
    assert {s.sigma for s in run.report.stages if s.name == "x" and s.step == 2} == {levels[2]}
    if find_stages == "auto":  # the timesteps of four steps over a thousand
        assert levels == {0: 750.0, 1: 500.0, 2: 250.0, 3: 0.0}
    assert run.report.verdict == "flows"
