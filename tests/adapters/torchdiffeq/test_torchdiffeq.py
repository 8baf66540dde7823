"""torchdiffeq's solvers tell their steps and stages as its source says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn

from gradprobe import Probe
from tests.adapters.truth import Step, Truth, assert_told, holds

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


# How often an attempt at a step evaluates: a row of the solver's tableau each, after an evaluation
# at the very start. Each later attempt begins with an answer that is there already.
ROWS = {"dopri5": 6, "bosh3": 3}
TOLERANCE = {"dopri5": 1e-5, "bosh3": 1e-3}


@pytest.mark.parametrize("method", ROWS)
def test_a_step_of_an_adaptive_solver_is_an_accepted_one(method: str, z0: Tensor) -> None:
    taken: list[float] = []
    tried: list[float] = []

    class Counted(Velocity):
        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return super().forward(t, y) * (1 + torch.sin(20 * t))

        def callback_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
            tried.append(float(t0))

        def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
            taken.append(float(t0))

    def program(z0: Tensor) -> Tensor:
        taken.clear()
        tried.clear()
        options = {"first_step": 2.0}  # too long: the first attempt is rejected
        solution: Tensor = torchdiffeq.odeint(
            Counted(), z0, GRID, method=method, rtol=TOLERANCE[method], options=options
        )
        return solution[-1]

    with Probe() as probe:
        leaf = z0.requires_grad_()
        program(leaf).square().mean().backward()
    report = probe.report()
    assert len(tried) > len(taken) > 1
    truth = Truth(
        ["start_state"],
        [Step(t, 0, ["step_input", "step_output"]) for t in taken],
        ["final_output"],
    )
    assert_told(report, truth)
    assert report.counts.steps == len(taken)
    # A rejected attempt sets the size of the next one, so that it feeds the result too.
    assert report.counts.denoiser_calls == 1 + ROWS[method] * len(tried)


def test_descending_times_are_negated_as_the_solver_does(z0: Tensor) -> None:
    def program(z0: Tensor) -> Tensor:
        solution: Tensor = torchdiffeq.odeint(Velocity(), z0, GRID.flip(0), method="euler")
        return solution[-1]

    times = [-1.0, -0.75, -0.5, -0.25, 0.0]
    truth = Truth(
        [("start_state", -1.0)],
        [Step(t, 1, ["step_input", ("step_output", s)]) for t, s in pairwise(times)],
        ["final_output"],
    )
    assert holds(program, z0, truth).verdict == "flows"


def test_the_adjoint_solves_inside_a_function(z0: Tensor) -> None:
    """Gradient reaches the start without passing a step: the steps are told, not connected."""
    velocity = Velocity()
    with Probe() as probe:
        leaf = z0.requires_grad_()
        solution = torchdiffeq.odeint_adjoint(velocity, leaf, GRID, method="midpoint")
        solution[-1].square().mean().backward()
    report = probe.report()
    assert report.verdict == "flows"
    outputs = [stage for stage in report.stages if stage.name == "step_output"]
    assert [(stage.step, stage.sigma) for stage in outputs] == [(i, (i + 1) / 4) for i in range(4)]
    assert all(stage.connected["leaf"] != "yes" for stage in outputs)
    assert leaf.grad is not None


def test_a_state_of_two_parts_is_told_as_the_solver_joins_it(z0: Tensor) -> None:
    velocity = Velocity()

    def both(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return velocity(t, state[0]), state[0].sum(dim=1)

    def program(z0: Tensor) -> Tensor:
        states, _ = torchdiffeq.odeint(both, (z0, z0.new_zeros(2)), GRID, method="euler")
        return states[-1]

    report = holds(program, z0, _fixed(1))
    shapes = {stage.shape for stage in report.stages if stage.name == "step_output"}
    assert shapes == {(2 * 4 + 2,)}
