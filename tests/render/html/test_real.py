"""A real run: its outline goes down to the network's ops, and neither it nor the page is large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradprobe.records import codec
from tests.render.html.reading import Reading
from tests.traced import trace

PROGRAM = """
import torch
from diffusers import DDIMScheduler, UNet2DModel

unet = UNet2DModel(
    sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, norm_num_groups=2,
    block_out_channels=(4, 8), down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
).requires_grad_(False)
scheduler = DDIMScheduler(num_train_timesteps=1000)
scheduler.set_timesteps(50)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
x = z0 * 1.0
for t in scheduler.timesteps:
    x = scheduler.step(unet(x, t).sample, t, x).prev_sample
(x - 0.3).square().mean().backward()
"""


def test_fifty_steps_of_a_unet(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    traced = trace(tmp_path, PROGRAM)
    assert traced.raised is None
    report = traced.report
    outline = report.outline
    assert [part.step for part in outline.parts] == [None, *range(50), None]
    functions = {block.function for block in outline.blocks}
    assert {"UNet2DModel.forward", "ResnetBlock2D.forward", "DDIMScheduler.step"} <= functions
    assert {part.state for part in outline.parts} == {"live"}
    assert outline.left_out == 0

    saved = codec.to_dict(report)
    whole = len(json.dumps(saved, indent=2))
    del saved["outline"]
    assert whole < 4 / 3 * len(json.dumps(saved, indent=2))

    page = report.render("html")
    assert len(page.encode("utf-8")) < 1_000_000
    data = Reading(page).data
    assert data["charts"]["steps"] == list(range(50))
    assert {line["name"] for line in data["charts"]["norm"]} >= {"step_input", "denoised_output"}
    assert len(data["charts"]["saved"]) == 50
    assert len(data["records"]["rows"]) > 200
