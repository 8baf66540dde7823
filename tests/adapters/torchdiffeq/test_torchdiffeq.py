"""torchdiffeq's solvers tell their steps and stages as its source says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from tests.adapters.truth import Step, Truth, holds

GRID = torch.linspace(0.0, 1.0, 5)  # four steps from 0 to 1

# The function is evaluated so often in each step: `_step_func` of fixed_grid.py.
CALLS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}


class Velocity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        velocity: Tensor = self.net(torch.cat([y, t.expand(len(y), 1)], dim=1))
        return velocity


def rotation(t: Tensor, y: Tensor) -> Tensor:
    """A velocity that is no module."""
    return torch.roll(y, 1, dims=1) * (1 + t)


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 4)


def _fixed(calls: int) -> Truth:
    times = [0.0, 0.25, 0.5, 0.75, 1.0]
    stages = [["step_input", ("step_output", following)] for following in times[1:]]
    return Truth(
        [("start_state", 0.0)],
        [Step(t, calls, own) for t, own in zip(times, stages, strict=False)],
        ["final_output"],
    )


def _solve(velocity: Callable[..., Tensor], **options: Any) -> Callable[[Tensor], Tensor]:
    def program(z0: Tensor) -> Tensor:
        solution: Tensor = torchdiffeq.odeint(velocity, z0, GRID, **options)
        return solution[-1]

    return program


@pytest.mark.parametrize("velocity", [Velocity(), rotation], ids=["module", "function"])
@pytest.mark.parametrize("method", CALLS)
def test_a_step_of_a_fixed_grid(method: str, velocity: Callable[..., Tensor], z0: Tensor) -> None:
    report = holds(_solve(velocity, method=method), z0, _fixed(CALLS[method]))
    assert report.verdict == "flows"
