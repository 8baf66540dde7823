"""A policy in a checkout: its scheduler's steps are told by the adapter of diffusers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.adapters.checkouts.conftest import Checkout
from tests.adapters.checkouts.denoisers import Policy
from tests.adapters.truth import Step, Truth, holds

diffusers = pytest.importorskip("diffusers")

ACTIONS, SEEN, HORIZON, KNOWN = 2, 3, 4, 2
OBS = torch.linspace(-0.5, 0.5, KNOWN * SEEN).reshape(1, KNOWN, SEEN)


def sampled(checkout: Checkout, scheduler: Any) -> Any:
    module = checkout("policy/diffusion_policy/policy/diffusion_unet_lowdim_policy.py")
    torch.manual_seed(1)
    policy = module.DiffusionUnetLowdimPolicy(
        Policy(ACTIONS + SEEN), scheduler, HORIZON, ACTIONS, num_inference_steps=4
    )

    def program(obs: Tensor) -> Tensor:
        output: Tensor = policy.predict_action({"obs": obs})["action"]
        return output

    return program


def test_the_policy_tells_start_and_actions(checkout: Checkout) -> None:
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=20, clip_sample=False)
    stages = ("step_input", "model_output", "pred_original_sample", "step_noise", "step_output")
    last = tuple(stage for stage in stages if stage != "step_noise")  # drawn where t > 0
    steps = [Step(t, 1, stages if t else last) for t in (15.0, 10.0, 5.0, 0.0)]
    report = holds(
        sampled(checkout, scheduler),
        OBS,
        Truth([("start_state", None)], steps, [("final_output", None)]),
    )
    final = next(stage for stage in report.stages if stage.name == "final_output")
    assert final.shape == (1, HORIZON, ACTIONS)
