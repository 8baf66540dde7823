"""torchsde's solvers tell their steps and stages as its source says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchsde
from torch import Tensor, nn

from gradprobe import Probe
from tests.adapters.truth import Step, Truth, assert_told, holds

STEPS = 4


class Score(nn.Module):
    """An SDE whose drift is a network. Stratonovich or Ito, as the method asks."""

    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.sde_type = sde_type
        self.net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        drift: Tensor = self.net(y) - y
        return drift

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.3 + 0.1 * y


@pytest.fixture
def z0() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 4)


# Of each method's `step`: the kind of SDE, how often it evaluates the drift, its stages in order
# with the time within the step at which they are taken.
METHODS: dict[str, tuple[str, int, list[tuple[str, float]]]] = {
    "euler": ("ito", 1, [("step_noise", 0), ("f", 0), ("g_prod", 0)]),
    "milstein": ("ito", 1, [("step_noise", 0), ("f", 0)]),
    # Four stages; stage s evaluates those before it again, and then itself: 1 + 2 + 3 + 4.
    "srk": ("ito", 10, [("step_noise", 0)]),
    "heun": (
        "stratonovich",
        2,
        [("step_noise", 0), ("f", 0), ("g_prod", 0), ("f_prime", 1), ("g_prod_prime", 1)],
    ),
    "midpoint": (
        "stratonovich",
        2,
        [("step_noise", 0), ("f", 0), ("g_prod", 0), ("f_prime", 0.5), ("g_prod_prime", 0.5)],
    ),
    "euler_heun": (
        "stratonovich",
        1,
        [("step_noise", 0), ("f", 0), ("g_prod", 0), ("g_prod_prime", 1)],
    ),
    # It evaluates at the start state too, before it takes its first step from there.
    "reversible_heun": ("stratonovich", 1, [("step_noise", 0)]),
}


def _truth(method: str) -> Truth:
    _, calls, inner = METHODS[method]
    steps = []
    for i in range(STEPS):
        own = [(name, (i + within) / STEPS) for name, within in inner]
        stages = ["step_input", *own, ("step_output", (i + 1) / STEPS)]
        steps.append(Step(i / STEPS, calls, stages))
    return Truth([("start_state", 0.0)], steps, ["final_output"])


def _solve(method: str, **options: Any) -> Callable[[Tensor], Tensor]:
    sde = Score(METHODS[method][0])
    levy_area = "space-time" if method == "srk" else "none"

    def program(z0: Tensor) -> Tensor:
        times = torch.tensor([0.0, 1.0])
        # Without one of our own its seed would come from numpy.
        motion = torchsde.BrownianInterval(
            0.0, 1.0, size=z0.shape, entropy=7, levy_area_approximation=levy_area
        )
        states: Tensor = torchsde.sdeint(
            sde, z0, times, bm=motion, method=method, dt=1 / STEPS, **options
        )
        return states[-1]

    return program


@pytest.mark.parametrize("method", [name for name in METHODS if name != "reversible_heun"])
def test_a_step_of_a_fixed_size(method: str, z0: Tensor) -> None:
    report = holds(_solve(method), z0, _truth(method))
    assert report.verdict == "flows"


def test_a_call_before_the_first_step_leaves_its_step_open(z0: Tensor) -> None:
    program = _solve("reversible_heun")
    with Probe() as probe:
        leaf = z0.requires_grad_()
        program(leaf).square().mean().backward()
    report = probe.report()
    assert_told(report, _truth("reversible_heun"))
    assert report.counts.denoiser_calls == 1 + STEPS
    assert report.calls[0].step is None


def test_an_accepted_step_of_adaptive_stepping(z0: Tensor) -> None:
    """Each attempt is one whole step and two halves, all of which take a step input."""
    program = _solve("milstein", adaptive=True, rtol=1e-2, atol=1e-2)
    with Probe() as probe:
        leaf = z0.requires_grad_()
        program(leaf).square().mean().backward()
    adapted = [stage for stage in probe.records if stage.source == "adapted"]
    outputs = [stage for stage in adapted if stage.name == "step_output"]
    inputs = [stage for stage in adapted if stage.name == "step_input"]
    attempts = len([stage for stage in adapted if stage.name == "step_noise"]) // 3
    assert attempts > len(outputs) > 1
    assert [stage.step for stage in outputs] == list(range(len(outputs)))
    assert [stage.step for stage in inputs] == list(range(len(outputs)))
    # A step begins at the time that the one before arrived at.
    assert [stage.sigma for stage in inputs[1:]] == [stage.sigma for stage in outputs[:-1]]
    assert outputs[-1].sigma == 1.0


def test_the_adjoint_solves_inside_a_function(z0: Tensor) -> None:
    sde = Score("stratonovich")
    with Probe() as probe:
        leaf = z0.requires_grad_()
        times = torch.tensor([0.0, 1.0])
        motion = torchsde.BrownianInterval(0.0, 1.0, size=z0.shape, entropy=7)
        states = torchsde.sdeint_adjoint(
            sde, leaf, times, bm=motion, method="midpoint", dt=1 / STEPS
        )
        states[-1].square().mean().backward()
    report = probe.report()
    assert report.verdict == "flows"
    outputs = [stage for stage in report.stages if stage.name == "step_output"]
    assert [stage.step for stage in outputs] == list(range(STEPS))
    assert all(stage.connected["leaf"] != "yes" for stage in outputs)
    assert leaf.grad is not None
