"""denoising_diffusion_pytorch's samplers tell their steps and stages as its source says."""

from __future__ import annotations

import math
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from tests.adapters.absent import load
from tests.adapters.truth import Stages, Step, Truth, holds, is_cut_off

library: Any = load("denoising_diffusion_pytorch")

STEPS = 4


class Model(nn.Module):
    """What the diffusions ask of a denoiser, in the small."""

    channels = out_dim = 3
    self_condition = False
    random_or_learned_sinusoidal_cond = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, x_self_cond: Tensor | None = None) -> Tensor:
        answer: Tensor = self.net(x) * (1 + t.view(-1, 1, 1, 1) / 10)
        return answer


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 3, 8, 8)


def _gaussian(**options: Any) -> Any:
    return library.GaussianDiffusion(Model(), image_size=8, timesteps=STEPS, **options)


def _drawn(z0: Tensor) -> Any:
    """The samplers draw their start themselves; for a while the first draw is `z0`."""
    draw = torch.randn
    first = [z0]

    def randn(*shape: Any, **options: Any) -> Tensor:
        return first.pop() if first else draw(*shape, **options)

    return mock.patch.object(torch, "randn", randn)


def _denoised(t: int) -> Stages:
    """One `p_sample`; at the last timestep no noise is added."""
    noise = ["step_noise"] if t > 0 else []
    return ["step_input", "model_output", "x_start", *noise, "step_output"]


P_SAMPLES = [Step(t, 1, _denoised(t)) for t in (3, 2, 1, 0)]


def test_p_sample_in_a_loop_of_one_s_own(z0: Tensor) -> None:
    diffusion = _gaussian()
    p_sample = partial(type(diffusion).p_sample.__wrapped__, diffusion)

    def program(x: Tensor) -> Tensor:
        for t in reversed(range(STEPS)):
            x, _ = p_sample(x, t)
        return x

    assert holds(program, z0, Truth([], P_SAMPLES)).verdict == "flows"


def test_p_sample_loop(z0: Tensor) -> None:
    diffusion = _gaussian()
    diffusion.p_sample = partial(type(diffusion).p_sample.__wrapped__, diffusion)

    def program(x: Tensor) -> Tensor:
        with _drawn(x):
            return type(diffusion).p_sample_loop.__wrapped__(diffusion, x.shape)

    truth = Truth(["start_state"], P_SAMPLES, ["final_output"])
    assert holds(program, z0, truth).verdict == "flows"


def _ddim() -> Truth:
    # Three of four timesteps: linspace(-1, 3, 4) as integers is -1, 0, 1, 3.
    moves = [(3, 1), (1, 0), (0, -1)]
    return Truth(
        ["start_state"],
        [
            Step(t, 1, ["model_output", "pred_noise", "x_start", ("step_output", following)])
            for t, following in moves
        ],
        ["final_output"],
    )


def test_ddim_sample(z0: Tensor) -> None:
    diffusion = _gaussian(sampling_timesteps=3)

    def program(x: Tensor) -> Tensor:
        with _drawn(x):
            return type(diffusion).ddim_sample.__wrapped__(diffusion, x.shape)

    assert holds(program, z0, _ddim()).verdict == "flows"


class ElucidatedModel(Model):
    random_or_learned_sinusoidal_cond = True


def _elucidated() -> Any:
    return library.ElucidatedDiffusion(ElucidatedModel(), image_size=8, num_sample_steps=STEPS)


def _sigma(i: int) -> float:
    """The schedule of Karras et al. (2022) from 80 to 0.002, rho 7; zero in the end."""
    if i == STEPS:
        return 0.0
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    return float((high + i / (STEPS - 1) * (low - high)) ** 7)


def test_elucidated_dpmpp(z0: Tensor) -> None:
    diffusion = _elucidated()
    stages = ["denoised_output", "denoised_d"]
    truth = Truth(
        [("start_state", _sigma(0))],
        [Step(_sigma(i), 1, [*stages, ("step_output", _sigma(i + 1))]) for i in range(STEPS)],
    )

    def program(x: Tensor) -> Tensor:
        with _drawn(x):
            return type(diffusion).sample_using_dpmpp.__wrapped__(diffusion, batch_size=1)

    assert holds(program, z0, truth).verdict == "flows"


def _churned(i: int) -> Step:
    """A step of `ElucidatedDiffusion.sample`: churn between 0.05 and 50, two evaluations."""
    sigma, following = _sigma(i), _sigma(i + 1)
    gamma = min(80 / STEPS, math.sqrt(2) - 1) if 0.05 <= sigma <= 50 else 0.0
    hat = sigma * (1 + gamma)
    stages: list[Any] = [("step_input", hat), ("denoised_output", hat)]
    if following > 0:
        stages.append(("denoised_output", following))
    return Step(sigma, 2 if following > 0 else 1, [*stages, ("step_output", following)])


def test_elucidated_sample(z0: Tensor) -> None:
    diffusion = _elucidated()
    truth = Truth([("start_state", _sigma(0))], [_churned(i) for i in range(STEPS)])

    def program(x: Tensor) -> Tensor:
        with _drawn(x):
            return type(diffusion).sample.__wrapped__(diffusion, batch_size=1, clamp=False)

    assert holds(program, z0, truth).verdict == "flows"


def test_as_installed_no_step_is_connected(z0: Tensor) -> None:
    diffusion = _gaussian(sampling_timesteps=3)

    def program(x: Tensor) -> Tensor:
        with _drawn(x):
            return diffusion.sample(batch_size=1)

    is_cut_off(program, z0, _ddim())
