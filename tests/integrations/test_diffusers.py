"""The step-end callback in a real pipeline: its tensors become stages, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from gradprobe import Probe, UsageError
from gradprobe.integrations.diffusers import tap_on_step_end
from gradprobe.records.report import Report

STEPS = 3


def pipeline() -> Any:
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2, cross_attention_dim=8,
    ).requires_grad_(False)  # fmt: skip
    pipe = diffusers.StableDiffusionPipeline(
        vae=None, text_encoder=None, tokenizer=None, unet=unet, safety_checker=None,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sampled(callback: Any, inputs: tuple[str, ...] = ("latents",)) -> tuple[Report, Any]:
    pipe = pipeline()
    embeds = torch.randn(1, 2, 8)
    z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
    with Probe(find_stages="declared") as probe:
        run = type(pipe).__call__.__wrapped__  # without its no_grad
        out = run(
            pipe, prompt_embeds=embeds, guidance_scale=1.0, latents=z0, output_type="latent",
            num_inference_steps=STEPS, callback_on_step_end=callback,
            callback_on_step_end_tensor_inputs=list(inputs),
        )  # fmt: skip
        out.images.square().mean().backward()
    return probe.report(), out


@pytest.fixture(autouse=True)
def _without_a_vae(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "vae_scale_factor", 8, raising=False)


def test_the_latents_of_each_step_are_hook_records_at_the_pipelines_line() -> None:
    report, _ = sampled(tap_on_step_end())
    marked = [s for s in report.stages if s.name == "latents"]
    assert [s.step for s in marked] == list(range(STEPS))
    sigmas = [s.sigma for s in marked]
    assert all(sigma is not None for sigma in sigmas)
    assert sigmas == sorted(sigmas, reverse=True)  # type: ignore[type-var]
    assert all(s.grad is not None and s.grad.norm > 0 for s in marked)
    places = {(Path(s.at.file).name, s.at.expression[:21]) for s in marked if s.at is not None}
    assert places == {("pipeline_stable_diffusion.py", "callback_on_step_end(")}


def test_a_callback_of_ones_own_is_called_after_and_its_answer_counts() -> None:
    steps = []

    def half(pipe: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        return {"latents": given["latents"] * 0.5}

    _, plain = sampled(None)
    _, alone = sampled(half)
    _, both = sampled(tap_on_step_end(then=half))
    assert steps == [*range(STEPS), *range(STEPS)]
    assert torch.equal(alone.images, both.images)
    assert not torch.equal(alone.images, plain.images)


def test_a_tensor_that_the_pipeline_does_not_give_is_named() -> None:
    with pytest.raises(UsageError, match="StableDiffusionPipeline gives no 'prompt_embeds'"):
        sampled(tap_on_step_end(["latents", "prompt_embeds"]))


def test_other_tensors_that_were_asked_for() -> None:
    callback = tap_on_step_end(["latents", "prompt_embeds"])
    report, _ = sampled(callback, ("latents", "prompt_embeds"))
    assert [s.step for s in report.stages if s.name == "prompt_embeds"] == list(range(STEPS))
