"""The program of the selftest, without a probe: what it computes and what each switch breaks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from gradprobe.selftest import res_sampler
from gradprobe.selftest.program import (
    LEARNING_RATE,
    SHAPE,
    Breaks,
    adam_step,
    denoiser,
    run_program,
    settings,
    through_steps_alone,
)

HEALTHY = Breaks()


def grad_of(z0: Tensor) -> Tensor:
    assert z0.grad is not None
    return z0.grad


def test_settings_are_the_documented_ones() -> None:
    quiet = settings(False, HEALTHY)
    assert SHAPE == (1, 2, 2, 8, 8)
    assert (quiet.num_steps, quiet.solver, quiet.step_noise) == (4, "1euler", "off")
    assert (quiet.sigma_max, quiet.sigma_min, quiet.rho) == (5.0, 0.5, 3.0)
    assert all(settings(True, HEALTHY).noise_scale(s) > 0 for s in quiet.sigmas())


@pytest.mark.parametrize("step_noise", [False, True])
def test_backward_is_ascent_on_the_loss(step_noise: bool) -> None:
    """z0.grad is the gradient of -loss, found again here by autograd.grad."""
    config = settings(step_noise, HEALTHY)
    outcome = run_program(config, HEALTHY)
    z0 = outcome.before.clone().requires_grad_()
    target = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    loss = mse_loss(res_sampler.sample(denoiser, z0, config).output, target)
    (expected,) = torch.autograd.grad(loss, z0)
    torch.testing.assert_close(grad_of(outcome.z0), -expected)
    torch.testing.assert_close(outcome.loss, loss)


def test_gradient_is_the_sum_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole = through the start state + through the step noise alone."""
    config = settings(True, HEALTHY)
    whole = run_program(config, HEALTHY)
    steps = run_program(through_steps_alone(config), HEALTHY)
    derive = res_sampler.noise_from
    monkeypatch.setattr(res_sampler, "noise_from", lambda z0, step: derive(z0.detach(), step))
    start = run_program(config, HEALTHY)

    assert torch.equal(whole.sample.output, start.sample.output)
    assert torch.equal(whole.sample.output, steps.sample.output)
    torch.testing.assert_close(grad_of(whole.z0), grad_of(start.z0) + grad_of(steps.z0))
    assert grad_of(steps.z0).norm() > 0.1 * grad_of(whole.z0).norm()


def test_without_churn_the_step_noise_brings_exactly_nothing() -> None:
    config = dataclasses.replace(through_steps_alone(settings(True, HEALTHY)), s_churn=0.0)
    outcome = run_program(config, HEALTHY)
    assert outcome.sample.output.requires_grad
    assert torch.equal(grad_of(outcome.z0), torch.zeros(SHAPE))


def test_adam_step_is_that_of_the_optimiser() -> None:
    outcome = run_program(settings(True, HEALTHY), HEALTHY)
    twin = outcome.before.clone().requires_grad_()
    twin.grad = grad_of(outcome.z0).clone()
    torch.optim.Adam([twin], lr=LEARNING_RATE).step()
    torch.testing.assert_close(outcome.z0, twin)

    still = torch.zeros(3, requires_grad=True)
    adam_step(still, torch.zeros(3))
    assert torch.equal(still, torch.zeros(3))


def test_the_same_numbers_every_time_and_the_global_generator_untouched() -> None:
    before = torch.get_rng_state()
    first, second = (run_program(settings(True, HEALTHY), HEALTHY) for _ in range(2))
    assert torch.equal(first.z0, second.z0)
    assert torch.equal(grad_of(first.z0), grad_of(second.z0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("step_noise", [False, True])
@pytest.mark.parametrize(
    "switch",
    ["gradient_not_allowed", "leaf_not_tracking", "forward_without_grad", "learn_noise_off"],
)
def test_four_switches_lose_the_gradient_altogether(switch: str, step_noise: bool) -> None:
    breaks = Breaks(**{switch: True})
    outcome = run_program(settings(step_noise, breaks), breaks)
    assert not outcome.sample.output.requires_grad
    assert outcome.failure is not None
    assert "does not require grad" in outcome.failure
    assert outcome.z0.grad is None
    assert torch.equal(outcome.z0, outcome.before)
    assert (outcome.sample.anchor is None) == (switch == "learn_noise_off")


def test_fresh_step_noise_leaves_the_gradient_through_the_start() -> None:
    breaks = Breaks(fresh_step_noise=True)
    config = settings(True, breaks)
    outcome = run_program(config, breaks)
    assert outcome.failure is None
    assert grad_of(outcome.z0).abs().min() > 0
    assert run_program(through_steps_alone(config), breaks).z0.grad is None


def test_the_five_switches_are_all_there_are() -> None:
    assert len(dataclasses.fields(Breaks)) == 5
    assert not any(dataclasses.astuple(HEALTHY))
