"""k-diffusion's samplers tell their steps and stages as the table says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe import Probe
from tests.adapters.absent import load_alone
from tests.adapters.k_diffusion.truth import HIGHEST, LOWEST, NOISE, SIGMAS, STEPS, TRUTHS
from tests.adapters.truth import Step, Truth, holds, is_cut_off, steps_with_noise

sampling: Any = load_alone("k_diffusion.sampling")
external: Any = load_alone("k_diffusion.external")


class Denoiser(nn.Module):
    """A small random denoiser of 3 channels, called with one noise level for each image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
        )

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma.view(-1, 1, 1, 1)
        keep = 1 / (1 + sigma**2)
        answer: Tensor = keep * x + sigma * keep.sqrt() * self.net(x * keep.sqrt())
        return answer


@pytest.fixture(scope="module")
def model() -> Denoiser:
    return Denoiser()


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 3, 8, 8)


def _program(
    sampler: Callable[..., Tensor], model: nn.Module, **options: Any
) -> Callable[[Tensor], Tensor]:
    sigmas = sampling.get_sigmas_karras(STEPS, LOWEST, HIGHEST)

    def program(z0: Tensor) -> Tensor:
        return sampler(model, z0 * sigmas[0], sigmas, disable=True, **options)

    return program


# The Brownian tree of the SDE samplers warns of a rounded lowest noise level.
@pytest.mark.filterwarnings("ignore:Should have ta>=t0:UserWarning")
@pytest.mark.parametrize("name", TRUTHS)
def test_steps_and_stages_are_those_of_the_table(name: str, model: Denoiser, z0: Tensor) -> None:
    report = holds(_program(getattr(sampling, name).__wrapped__, model), z0, TRUTHS[name])
    assert report.verdict == "flows"
    # No variable holds the noise: the dataflow shows it, in the steps that the adapter tells.
    assert steps_with_noise(report) == NOISE.get(name, [])


def test_adapters_can_be_left_out(model: Denoiser, z0: Tensor) -> None:
    with Probe(find_stages="declared") as probe:
        leaf = z0.requires_grad_()
        program = _program(sampling.sample_euler.__wrapped__, model)
        program(leaf).square().mean().backward()
    assert {stage.source for stage in probe.records} == {"discovered"}  # the leaf and the root
    assert len(probe.records) == 2


@pytest.mark.parametrize("name", ["sample_euler", "sample_heun", "sample_dpmpp_2m"])
def test_as_installed_no_step_is_connected(name: str, model: Denoiser, z0: Tensor) -> None:
    is_cut_off(_program(getattr(sampling, name), model), z0, TRUTHS[name])


def test_churn_lifts_the_level_of_a_step_s_first_call(model: Denoiser, z0: Tensor) -> None:
    # gamma is s_churn over the number of steps, where s_tmin <= sigma <= s_tmax.
    sampler = sampling.sample_euler.__wrapped__
    churned = [sigma * 1.25 if 1.0 <= sigma <= 5.0 else sigma for sigma in SIGMAS]
    truth = Truth(
        [("start_state", SIGMAS[0])],
        [
            Step(
                SIGMAS[i],
                1,
                [
                    ("denoised_output", churned[i]),
                    ("d", churned[i]),
                    ("step_output", SIGMAS[i + 1]),
                ],
            )
            for i in range(STEPS)
        ],
        ["final_output"],
    )
    report = holds(_program(sampler, model, s_churn=1.0, s_tmin=1.0, s_tmax=5.0), z0, truth)
    assert report.verdict == "flows"
    assert steps_with_noise(report) == [1]


def test_dpm_fast_spends_its_calls_in_steps_of_third_order(model: Denoiser, z0: Tensor) -> None:
    # Seven calls: orders 3, 3 and 1, with even steps in the logarithm of sigma.
    start, end = math.log(HIGHEST), math.log(LOWEST)

    def sigma(t: float) -> float:
        return math.exp(start + t / 3 * (end - start))

    def third(i: int) -> Step:
        later = [("eps", sigma(i + 1 / 3)), ("eps", sigma(i + 2 / 3))]
        return Step(None, 3, [("eps", sigma(i)), "denoised", *later, "step_output"])

    last = Step(None, 1, [("eps", sigma(2)), "denoised", "step_output"])
    truth = Truth([("start_state", HIGHEST)], [third(0), third(1), last], ["final_output"])

    def program(z0: Tensor) -> Tensor:
        sampler = sampling.sample_dpm_fast.__wrapped__
        final: Tensor = sampler(model, z0 * HIGHEST, LOWEST, HIGHEST, 7, disable=True)
        return final

    assert holds(program, z0, truth).verdict == "flows"


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning")
def test_a_step_of_dpm_adaptive_is_an_accepted_one(model: Denoiser, z0: Tensor) -> None:
    told = []

    def program(z0: Tensor) -> Tensor:
        sampler = sampling.sample_dpm_adaptive.__wrapped__
        final, info = sampler(
            model, z0 * HIGHEST, LOWEST, HIGHEST, disable=True, h_init=2.0, return_info=True
        )
        told.append(info)
        return final

    with Probe() as probe:
        leaf = z0.requires_grad_()
        program(leaf).square().mean().backward()
    report = probe.report()
    [info] = told
    assert info["n_reject"] > 0
    assert report.counts.steps == info["n_accept"]
    # What a rejected attempt evaluates feeds nothing: its error leaves torch as a number.
    assert report.counts.denoiser_calls == 3 * info["n_accept"] < info["nfe"]
    adapted = [stage for stage in report.stages if stage.source == "adapted"]
    outputs = [stage.step for stage in adapted if stage.name == "step_output"]
    assert outputs == list(range(info["n_accept"]))
    # An attempt evaluates at its beginning, and twice on its way; it keeps the first answer.
    attempts = Counter(stage.step for stage in adapted if stage.name == "denoised")
    assert sum(attempts.values()) == info["steps"]
    evaluations = Counter(stage.step for stage in adapted if stage.name == "eps")
    assert evaluations == {step: 3 * count for step, count in attempts.items()}


def test_a_wrapper_tells_the_noise_that_its_model_predicts(z0: Tensor) -> None:
    class Latent(nn.Module):
        alphas_cumprod = torch.linspace(0.999, 0.01, 1000)

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.net = nn.Conv2d(3, 3, 3, padding=1)

        def apply_model(self, x: Tensor, t: Tensor) -> Tensor:
            predicted: Tensor = self.net(x)
            return predicted

    wrapped = external.CompVisDenoiser(Latent())
    sampler = sampling.sample_euler.__wrapped__
    plain = TRUTHS["sample_euler"]
    steps = [Step(step.sigma, step.calls, ["eps", *step.stages]) for step in plain.steps]
    report = holds(_program(sampler, wrapped), z0, Truth(plain.before, steps, plain.after))
    assert report.verdict == "flows"
