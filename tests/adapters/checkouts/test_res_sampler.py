"""The RES sampler in a checkout: closures in closures, solvers in files of their own."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from gradprobe import Probe
from tests.adapters.checkouts.conftest import Checkout
from tests.adapters.checkouts.denoisers import Denoiser
from tests.adapters.truth import Stages, Step, Truth, assert_told, holds

N = 4
LOW, HIGH, RHO = 0.1, 8.0, 7.0
LEVELS = [
    (HIGH ** (1 / RHO) + i / N * (LOW ** (1 / RHO) - HIGH ** (1 / RHO))) ** RHO
    for i in range(N + 1)
]
Z0 = torch.linspace(-1.5, 1.5, 48).reshape(1, 3, 4, 4)


def evaluated_at(solver: str, start: float, end: float) -> list[float]:
    """The levels at which a step of a solver calls the denoiser."""
    return {
        "1euler": [start],
        "2ab": [start],
        "2mid": [start, math.sqrt(start * end)],
        "2heun_edm": [start, end],
        "3kutta_naive": [start, (start + end) / 2, end],
    }[solver]


def truth(solver: str, churn: float = 0.0) -> Truth:
    """4 steps, and after them the call that cleans the sample, at the lowest level."""
    eta = min(churn / (N + 1), math.sqrt(1.2) - 1)
    steps = []
    for start, end in itertools.pairwise(LEVELS):
        levels = evaluated_at(solver, start * (1 + eta), end)
        stages: Stages = (
            ("step_input", start * (1 + eta)),
            *(("denoised_output", level) for level in levels),
            ("step_output", end),
        )
        steps.append(Step(start, len(levels), stages))
    return Truth([("start_state", HIGH)], steps, [("final_output", None)], calls_after=1)


def grad_left_on(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("forward", "_forward_impl"):
        decorated = getattr(module.Sampler, name)
        monkeypatch.setattr(module.Sampler, name, decorated.__wrapped__)


def sampled(module: ModuleType, solver: str, **options: Any) -> Any:
    torch.manual_seed(1)
    net, sampler = Denoiser(), module.Sampler()
    calls = N if solver == "2ab" else N * int(solver[0])

    def program(z0: Tensor) -> Tensor:
        output: Tensor = sampler(
            lambda x, t: net(x, t),
            HIGH * z0,
            num_steps=calls,
            sigma_min=LOW,
            sigma_max=HIGH,
            rho=RHO,
            solver_option=solver,
            **options,
        )
        return output

    return program


@pytest.mark.parametrize("solver", ["1euler", "2ab", "2mid", "2heun_edm", "3kutta_naive"])
def test_every_solver(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, solver: str) -> None:
    module = checkout("cosmos/modules/res_sampler.py")
    grad_left_on(module, monkeypatch)
    holds(sampled(module, solver), Z0, truth(solver))


@pytest.mark.parametrize("solver", ["2ab", "2mid"])
def test_churn_raises_the_level_of_the_first_evaluation(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, solver: str
) -> None:
    module = checkout("cosmos/modules/res_sampler.py")
    grad_left_on(module, monkeypatch)
    holds(sampled(module, solver, S_churn=0.3), Z0, truth(solver, 0.3))


def test_as_installed_the_stages_are_there_and_cut_off(checkout: Checkout) -> None:
    program = sampled(checkout("cosmos/modules/res_sampler.py"), "2mid")
    with Probe() as probe:
        z0 = Z0.clone().requires_grad_()
        with pytest.raises(RuntimeError, match="does not require grad"):
            program(z0).square().mean().backward()
    report = probe.report()
    assert_told(report, truth("2mid"))
    assert report.verdict == "broken"
    adapted = [stage for stage in report.stages if stage.source == "adapted"]
    # The state that the caller made is the last thing that hangs on z0.
    assert [s.connected["z0"] for s in adapted] == ["yes"] + ["no"] * (len(adapted) - 1)
    assert {s.grad_fn for s in adapted[1:]} == {None}


def test_callbacks_see_what_they_saw(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback is given `locals()`, which looking at the variables must not disturb."""
    module = checkout("cosmos/modules/res_sampler.py")
    grad_left_on(module, monkeypatch)
    net, seen = Denoiser(), []

    def note(**variables: Any) -> None:
        seen.append((variables["i_th"], float(variables["sigma_next_0"]), sorted(variables)))

    def solve() -> list[Any]:
        seen.clear()
        solver = module.differential_equation_solver(
            lambda x, t: net(x, t).double(),
            module.get_rev_ts(LOW, HIGH, N, RHO),
            module.SolverConfig(is_multi=True),
            [note],
        )
        solver(HIGH * Z0.double())
        return list(seen)

    plain = solve()
    with Probe():
        assert solve() == plain
    assert [i for i, _, _ in plain] == list(range(N))


def test_noise_that_a_checkout_gives_a_name(checkout: Checkout, tmp_path: Any) -> None:
    """People who edit the sampler call what they inject `step_noise`."""
    module = checkout("cosmos/modules/res_sampler.py")
    path = tmp_path / "edited" / "res_sampler.py"
    path.parent.mkdir()
    source = (tmp_path / "somebody/code/cosmos/modules/res_sampler.py").read_text("utf-8")
    edited = source.replace(
        "drawn = solver_cfg.s_noise * torch.randn_like(input_x_B_StateShape)",
        "step_noise = torch.randn_like(input_x_B_StateShape)",
    ).replace("lifted * drawn", "lifted * step_noise")
    edited = edited.replace("    @torch.no_grad()\n", "")
    assert edited.count("step_noise") == 2
    path.write_text(edited, encoding="utf-8")
    exec(compile(edited, str(path), "exec"), vars(module))
    told = truth("2ab", 0.3)
    # Drawn at the level that the step starts from, and before its input is made.
    steps = [Step(step.sigma, step.calls, ("step_noise", *step.stages)) for step in told.steps]
    holds(sampled(module, "2ab", S_churn=0.3), Z0, replace(told, steps=steps))
