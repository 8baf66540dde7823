"""The sampler against exact solutions: orders of convergence, gradients, noise, stages."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gradprobe.selftest.res_sampler import SamplerConfig, Solver, StepNoise, noise_from, sample
from gradprobe.stage_marks import listen

DATA_STD = 0.8
SHAPE = (1, 2, 2, 8, 8)
SOLVERS: tuple[Solver, ...] = ("1euler", "2ab", "2mid")


def gaussian_denoiser(x: Tensor, sigma: float) -> Tensor:
    """The ideal denoiser of data distributed as N(0, DATA_STD^2)."""
    return x * DATA_STD**2 / (DATA_STD**2 + sigma**2)


def linear_denoiser(x: Tensor, sigma: float) -> Tensor:
    return 0.7 * x + 0.1


def unit(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or SHAPE, generator=generator, dtype=torch.float64)


def error_after(num_steps: int, config: SamplerConfig) -> float:
    """The distance, relative, from the exact probability-flow solution for Gaussian data."""
    z0 = unit(0)
    got = sample(gaussian_denoiser, z0, replace(config, num_steps=num_steps)).output
    spread = math.hypot(DATA_STD, config.sigma_min) / math.hypot(DATA_STD, config.sigma_max)
    exact = gaussian_denoiser(config.sigma_max * z0 * spread, config.sigma_min)
    return float((got - exact).norm() / exact.norm())


@pytest.mark.parametrize(("solver", "order"), [("1euler", 1), ("2ab", 2), ("2mid", 2)])
@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_order_of_convergence(solver: Solver, order: int, rho: float) -> None:
    config = SamplerConfig(solver=solver, rho=rho)
    errors = [error_after(n, config) for n in (128, 256, 512)]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)


def test_second_order_beats_euler_at_the_same_number_of_calls() -> None:
    euler = error_after(40, SamplerConfig())
    assert error_after(40, SamplerConfig(solver="2ab")) < euler / 5
    assert error_after(20, SamplerConfig(solver="2mid")) < euler / 5


@pytest.mark.parametrize(("solver", "calls"), [("1euler", 5), ("2ab", 5), ("2mid", 9)])
def test_number_and_noise_levels_of_denoiser_calls(solver: Solver, calls: int) -> None:
    seen: list[float] = []

    def denoiser(x: Tensor, sigma: float) -> Tensor:
        seen.append(sigma)
        return linear_denoiser(x, sigma)

    config = SamplerConfig(solver=solver)
    sample(denoiser, unit(1), config)
    assert len(seen) == calls
    assert seen[0] == config.sigma_max
    assert seen[-1] == config.sigma_min
    assert seen == sorted(seen, reverse=True)


def test_euler_with_a_linear_denoiser_has_its_closed_form() -> None:
    """One step maps x to (r + (1 - r) a) x + (1 - r) b, where r is the ratio of the sigmas."""
    config = SamplerConfig()
    a, b = 0.7, 0.1
    gain, offset = config.sigma_max, 0.0
    for sigma, target in pairwise(config.sigmas()):
        r = target / sigma
        gain, offset = (r + (1 - r) * a) * gain, (r + (1 - r) * a) * offset + (1 - r) * b
    z0 = unit(2).requires_grad_()
    output = sample(linear_denoiser, z0, config).output
    torch.testing.assert_close(output.detach(), a * (gain * z0.detach() + offset) + b)
    output.sum().backward()
    torch.testing.assert_close(z0.grad, torch.full(SHAPE, a * gain, dtype=torch.float64))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("step_noise", ["off", "from_z0"])
def test_gradient_agrees_with_finite_differences(solver: Solver, step_noise: StepNoise) -> None:
    config = SamplerConfig(solver=solver, step_noise=step_noise, s_churn=1.0)
    z0 = unit(3, 1, 1, 2, 3).requires_grad_()

    def run(z: Tensor) -> Tensor:
        return sample(lambda x, sigma: torch.tanh(x / (1 + sigma)), z, config).output

    assert torch.autograd.gradcheck(run, (z0,))


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_churn_step_noise_changes_nothing(solver: Solver) -> None:
    quiet = SamplerConfig(solver=solver)
    noisy = replace(quiet, step_noise="from_z0", s_churn=0.0)
    assert [noisy.noise_scale(sigma) for sigma in noisy.sigmas()] == [0.0] * 5
    z0 = unit(4)
    first = sample(linear_denoiser, z0, quiet).output
    assert torch.equal(first, sample(linear_denoiser, z0, noisy).output)


@pytest.mark.parametrize("solver", SOLVERS)
def test_churn_keeps_the_spread_of_gaussian_data(solver: Solver) -> None:
    """Going up by fresh noise and down by the ODE leaves the marginal N(0, std^2 + sigma^2)."""
    config = SamplerConfig(num_steps=240, solver=solver, step_noise="fresh", s_churn=20.0)
    z0 = unit(5, 1, 20_000) * math.hypot(1.0, DATA_STD / config.sigma_max)
    generator = torch.Generator().manual_seed(6)
    output = sample(gaussian_denoiser, z0, config, generator).output
    spread = math.hypot(DATA_STD, config.sigma_min)
    expected = spread * DATA_STD**2 / (DATA_STD**2 + config.sigma_min**2)
    assert output.std().item() == pytest.approx(expected, rel=0.02)


def test_churn_keeps_to_its_window_and_its_ceiling() -> None:
    config = SamplerConfig(step_noise="from_z0", s_churn=100.0, s_min=1.0, s_max=3.0)
    for sigma in config.sigmas():
        inside = 1.0 <= sigma <= 3.0
        assert config.churned(sigma) == pytest.approx(sigma * (math.sqrt(2) if inside else 1.0))
        assert config.noise_scale(sigma) == pytest.approx(sigma if inside else 0.0)


def test_2ab_keeps_no_history_across_churn() -> None:
    """Every step churned: `2ab` is Euler. None churned, though step noise is on: it is not."""
    euler = SamplerConfig(step_noise="from_z0", s_churn=2.0)
    multistep = replace(euler, solver="2ab")
    z0 = unit(7)
    expected = sample(linear_denoiser, z0, euler).output
    assert torch.equal(sample(linear_denoiser, z0, multistep).output, expected)
    calm = sample(linear_denoiser, z0, replace(multistep, s_churn=0.0)).output
    assert not torch.allclose(calm, sample(linear_denoiser, z0, replace(euler, s_churn=0.0)).output)


def test_derived_noise_is_standard_and_differs_by_step() -> None:
    z0 = 3.0 + 2.0 * unit(8, 2, 3, 8, 8)
    noises = [noise_from(z0, step) for step in range(8)]
    for eps in noises:
        assert eps.shape == z0.shape
        torch.testing.assert_close(eps.flatten(1).mean(1), torch.zeros(2, dtype=torch.float64))
        variance = eps.flatten(1).square().mean(1)
        torch.testing.assert_close(variance, torch.ones(2, dtype=torch.float64))
    pairs = [(a, b) for i, a in enumerate(noises) for b in noises[:i]]
    assert max(abs(float((a * b).mean())) for a, b in pairs) < 0.3


def test_derived_noise_never_mixes_samples_of_a_batch() -> None:
    z0 = unit(9, 2, 4, 4).requires_grad_()
    noise_from(z0, 1)[0].square().sum().backward()
    (noise_from(z0, 1)[0] * unit(10, 4, 4)).sum().backward()
    assert z0.grad is not None
    assert z0.grad[0].abs().sum() > 0
    assert torch.equal(z0.grad[1], torch.zeros(4, 4, dtype=torch.float64))


def test_a_constant_z0_gives_finite_noise_and_gradient() -> None:
    z0 = torch.ones(1, 4, 4, dtype=torch.float64, requires_grad=True)
    eps = noise_from(z0, 0)
    eps.sum().backward()
    assert torch.equal(eps.detach(), torch.zeros(1, 4, 4, dtype=torch.float64))
    assert z0.grad is not None
    assert torch.isfinite(z0.grad).all()


@pytest.mark.parametrize(
    ("config", "anchored", "tracks"),
    [
        (SamplerConfig(), True, True),
        (SamplerConfig(allow_grad=False), True, False),
        (SamplerConfig(learn_noise=False), False, False),
        (SamplerConfig(learn_start=False), False, False),
        (SamplerConfig(learn_start=False, step_noise="from_z0", s_churn=1.0), True, True),
        (SamplerConfig(learn_start=False, step_noise="fresh", s_churn=1.0), False, False),
        (SamplerConfig(learn_noise=False, step_noise="from_z0", s_churn=1.0), False, False),
    ],
)
def test_anchor_says_whether_z0_entered(
    config: SamplerConfig, anchored: bool, tracks: bool
) -> None:
    z0 = unit(11).requires_grad_()
    got = sample(linear_denoiser, z0, config, torch.Generator().manual_seed(12))
    assert (got.anchor is z0) == anchored
    assert (got.anchor is None) != anchored
    assert got.output.requires_grad == tracks


def test_stages_are_marked_in_order() -> None:
    seen: list[tuple[str, int | None]] = []
    sigmas: list[float | None] = []

    def hear(name: str, x: object, step: int | None, sigma: float | None) -> None:
        assert isinstance(x, Tensor)
        seen.append((name, step))
        sigmas.append(sigma)

    config = SamplerConfig(num_steps=2, solver="2mid", step_noise="from_z0", s_churn=0.5)
    before = listen(hear)
    try:
        sample(linear_denoiser, unit(13), config)
    finally:
        listen(before)
    a_step = ["step_noise", "denoised_output", "denoised_output"]
    assert seen == [
        ("start_state", None),
        *[(name, 0) for name in a_step],
        *[(name, 1) for name in a_step],
        ("final_output", None),
    ]
    first, middle = config.sigmas()[0], config.sigmas()[1]
    assert sigmas[:3] == [first, first, config.churned(first)]
    assert sigmas[3] == pytest.approx(math.sqrt(config.churned(first) * middle))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0"),
        ({"sigma_min": 0.0}, "need 0 < min < max"),
        ({"sigma_min": 6.0}, "need 0 < min < max"),
        ({"s_churn": -1.0}, "need rho > 0, s_churn >= 0"),
        ({"rho": 0.0}, "need rho > 0, s_churn >= 0"),
        ({"solver": "3kutta"}, "unknown solver '3kutta': use 1euler, 2ab, 2mid"),
        ({"step_noise": "on"}, "unknown step_noise 'on': use off, from_z0, fresh"),
    ],
)
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SamplerConfig(), **wrong)
