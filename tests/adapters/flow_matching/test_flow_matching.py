"""flow_matching's solvers tell their steps and stages as its source says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from flow_matching.solver import ODESolver, RiemannianODESolver
from flow_matching.utils import ModelWrapper
from flow_matching.utils.manifolds import Euclidean
from torch import Tensor, nn

from tests.adapters.truth import Step, Truth, holds, is_cut_off

STEPS = 4

# How often a step evaluates the velocity: torchdiffeq's methods, and those of the other solver.
CALLS = {"euler": 1, "midpoint": 2, "rk4": 4}


class Velocity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, x: Tensor, t: Tensor, **extras: Any) -> Tensor:
        velocity: Tensor = self.net(torch.cat([x, t.expand(len(x), 1)], dim=1))
        return velocity


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 4)


def _truth(calls: int, start: float | None) -> Truth:
    steps = [
        Step(i / STEPS, calls, ["step_input", ("step_output", (i + 1) / STEPS)])
        for i in range(STEPS)
    ]
    return Truth([("start_state", start)], steps, ["final_output"])


def _euclidean(method: str, **options: Any) -> Callable[[Tensor], Tensor]:
    solver = ODESolver(ModelWrapper(Velocity()))

    def program(z0: Tensor) -> Tensor:
        final: Tensor = solver.sample(x_init=z0, step_size=1 / STEPS, method=method, **options)
        return final

    return program


def _riemannian(method: str, **options: Any) -> Callable[[Tensor], Tensor]:
    solver = RiemannianODESolver(Euclidean(), ModelWrapper(Velocity()))

    def program(z0: Tensor) -> Tensor:
        final: Tensor = solver.sample(x_init=z0, step_size=1 / STEPS, method=method, **options)
        return final

    return program


# `RiemannianODESolver` lays its times out after it was given the start.
SOLVERS = [(_euclidean, 0.0), (_riemannian, None)]


@pytest.mark.parametrize(("make", "start"), SOLVERS)
@pytest.mark.parametrize("method", CALLS)
def test_steps_and_stages(
    method: str, make: Callable[..., Any], start: float | None, z0: Tensor
) -> None:
    report = holds(make(method, enable_grad=True), z0, _truth(CALLS[method], start))
    assert report.verdict == "flows"


@pytest.mark.parametrize(("make", "start"), SOLVERS)
def test_without_its_switch_no_step_is_connected(
    make: Callable[..., Any], start: float | None, z0: Tensor
) -> None:
    is_cut_off(make("midpoint"), z0, _truth(CALLS["midpoint"], start))
