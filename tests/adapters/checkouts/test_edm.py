"""EDM's samplers in a checkout: one step a turn, Heun's second call but in the last."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.adapters.checkouts.conftest import Checkout
from tests.adapters.checkouts.denoisers import Denoiser
from tests.adapters.truth import Step, Truth, holds

N = 4
LOW, HIGH, RHO = 0.02, 8.0, 7.0
# Equation 5 of the paper, and 0 behind it.
LEVELS = [
    (HIGH ** (1 / RHO) + i / (N - 1) * (LOW ** (1 / RHO) - HIGH ** (1 / RHO))) ** RHO
    for i in range(N)
] + [0.0]
Z0 = torch.linspace(-1.5, 1.5, 48).reshape(1, 3, 4, 4)


def truth(hats: list[float], *, corrected: bool = True) -> Truth:
    """`hats` are the levels to which churn lifts the steps' starts."""
    steps = []
    for i, hat in enumerate(hats):
        following = LEVELS[i + 1]
        stages: list[str | tuple[str, float | None]] = [
            ("step_input", hat),
            ("denoised_output", hat),
            ("d_cur", hat),
        ]
        second = corrected and i < N - 1
        if second:
            stages += [("denoised_output", following), ("d_prime", following)]
        steps.append(Step(LEVELS[i], 1 + second, (*stages, ("step_output", following))))
    return Truth([("start_state", LEVELS[0])], steps, after=[("final_output", None)])


def sampled(checkout: Checkout, function: str, **options: Any) -> Any:
    sampler = getattr(checkout("edm/generate.py"), function)
    torch.manual_seed(1)
    net = Denoiser()
    options = {"num_steps": N, "sigma_min": LOW, "sigma_max": HIGH, "rho": RHO, **options}

    def program(z0: Tensor) -> Tensor:
        output: Tensor = sampler(net, z0, **options)
        return output

    return program


def test_two_calls_a_step_and_one_in_the_last(checkout: Checkout) -> None:
    report = holds(sampled(checkout, "edm_sampler"), Z0, truth(LEVELS[:N]))
    adapted = [stage for stage in report.stages if stage.source == "adapted"]
    assert {stage.connected["leaf"] for stage in adapted} == {"yes"}


def test_churn_lifts_only_levels_within_its_bounds(checkout: Checkout) -> None:
    program = sampled(checkout, "edm_sampler", S_churn=0.8, S_min=0.05, S_max=5.0, S_noise=1.01)
    gamma = 0.8 / N
    hats = [LEVELS[0], LEVELS[1] * (1 + gamma), LEVELS[2] * (1 + gamma), LEVELS[3]]
    assert 0.05 < LEVELS[2] < LEVELS[1] < 5.0
    assert gamma < math.sqrt(2) - 1
    holds(program, Z0, truth(hats))


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_the_ablation_sampler(checkout: Checkout, solver: str) -> None:
    program = sampled(checkout, "ablation_sampler", solver=solver)
    holds(program, Z0, truth(LEVELS[:N], corrected=solver == "heun"))


def test_places_are_the_assignments(checkout: Checkout) -> None:
    report = holds(sampled(checkout, "edm_sampler"), Z0, truth(LEVELS[:N]))
    lines = {}
    for stage in report.stages:
        if stage.source == "adapted" and stage.step == 1:
            assert stage.at is not None
            assert stage.at.file.endswith("somebody/code/edm/generate.py")
            assert stage.at.function == "edm_sampler"
            lines.setdefault(stage.name, []).append(stage.at.source.strip())
    assert lines == {
        "step_input": ["x_hat = x_cur + lifted * randn_like(x_cur)"],
        "denoised_output": [
            "denoised = net(x_hat, t_hat, class_labels).double()",
            "denoised = net(x_next, t_next, class_labels).double()",
        ],
        "d_cur": ["d_cur = (x_hat - denoised).div(t_hat)"],
        "d_prime": ["d_prime = (x_next - denoised).div(t_next)"],
        "step_output": ["x_next = torch.add(x_hat, (d_cur + d_prime) * (t_next - t_hat) / 2)"],
    }
