"""With every adapter switched off, the dataflow alone says the same as the tables, or `unknown`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import diffusers
import pytest
import torch
import torchdiffeq
from flow_matching.solver import ODESolver
from torch import Tensor, nn

import gradprobe.probe
from gradprobe import Probe
from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.records.report import GradStats, Report
from tests.adapters.absent import load_alone
from tests.adapters.diffusers.truth import STEPS as DIFFUSERS_STEPS
from tests.adapters.diffusers.truth import TRUTHS as DIFFUSERS
from tests.adapters.k_diffusion.truth import HIGHEST, LOWEST, STEPS
from tests.adapters.k_diffusion.truth import TRUTHS as K_DIFFUSION

sampling: Any = load_alone("k_diffusion.sampling")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Should have:UserWarning"),
]

Program = Callable[["Denoiser", Tensor], tuple[Tensor, Tensor]]


class Denoiser(nn.Module):
    """A small random network that notes the gradient of each of its answers by a hook."""

    def __init__(self, by_hand: bool, state_first: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Conv2d(3, 3, 3, padding=1)
        self.by_hand = by_hand
        self.state_first = state_first
        self.grads: dict[int, GradStats] = {}

    def forward(self, *given: Tensor) -> Tensor:
        x, t = given if self.state_first else given[::-1]
        level = t.to(x.dtype).reshape(-1, 1, 1, 1)
        answer = 0.1 * x + self.inner(x).tanh() * (1 + 1e-4 * level)
        if self.by_hand:
            number = len(self.grads)
            self.grads[number] = GradStats(0, 0, 0, 0, 0, 0)
            answer.register_hook(lambda g: self.grads.__setitem__(number, as_stats(statistics(g))))
        return answer


@dataclass(frozen=True)
class Case:
    """A program from (denoiser, z0) to (start state, output), and calls by step of the table."""

    name: str
    program: Program
    calls: Sequence[int]
    state_first: bool = True
    options: dict[str, Any] = field(default_factory=dict)


def _scheduled(truth: Any) -> Program:
    def program(model: Denoiser, z0: Tensor) -> tuple[Tensor, Tensor]:
        scheduler = getattr(diffusers, truth.scheduler)(**truth.config)
        scheduler.set_timesteps(DIFFUSERS_STEPS)
        x = start = z0 * getattr(scheduler, "init_noise_sigma", 1.0)
        for t in scheduler.timesteps:
            ready = (
                scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            )
            x = scheduler.step(model(ready, t), t, x, **truth.options).prev_sample
        return start, x

    return program


def _k_diffusion(name: str) -> Program:
    def program(model: Denoiser, z0: Tensor) -> tuple[Tensor, Tensor]:
        sigmas = sampling.get_sigmas_karras(STEPS, LOWEST, HIGHEST)
        start = z0 * sigmas[0]
        return start, getattr(sampling, name).__wrapped__(model, start, sigmas, disable=True)

    return program


def _solved(method: str) -> Program:
    def program(model: Denoiser, z0: Tensor) -> tuple[Tensor, Tensor]:
        grid = torch.linspace(0.0, 1.0, 5)
        return z0, torchdiffeq.odeint(model, z0, grid, method=method)[-1]

    return program


def _flow_matched(method: str) -> Program:
    def program(model: Denoiser, z0: Tensor) -> tuple[Tensor, Tensor]:
        solver = ODESolver(lambda x, t: model(x, t))
        image = solver.sample(x_init=z0, step_size=0.25, method=method, enable_grad=True)
        return z0, image

    return program


def cases() -> Iterator[Case]:
    for truth in DIFFUSERS:
        yield Case(f"diffusers {truth.name}", _scheduled(truth), truth.calls)
    for name, table in K_DIFFUSION.items():
        yield Case(f"k_diffusion {name}", _k_diffusion(name), [s.calls for s in table.steps])
    for method, calls in {"euler": 1, "midpoint": 2, "heun3": 3, "rk4": 4}.items():
        yield Case(f"torchdiffeq {method}", _solved(method), [calls] * 4, state_first=False)
    for method, calls in {"euler": 1, "midpoint": 2}.items():
        yield Case(f"flow_matching {method}", _flow_matched(method), [calls] * 4)


CASES = list(cases())

# Of these the dataflow does not say what is one step: calls of the denoiser halfway of a step look
# like calls at the schedule's own levels, or a warm-up is unlike the rest.
UNKNOWN = {
    "diffusers kdpm2",
    "diffusers kdpm2-ancestral",
    "diffusers dpmsolver-2s",
    "diffusers dpmsolver-sde",
    "diffusers pndm",
}


def _run(case: Case, model: Denoiser) -> tuple[GradStats, Tensor, Tensor]:
    """What passes the start state, the output and z0's gradient."""
    torch.manual_seed(3)
    z0 = torch.randn(1, 3, 4, 4).requires_grad_()
    start, output = case.program(model, z0)
    at_start: list[Tensor] = []
    if model.by_hand:
        start.register_hook(at_start.append)
    output.square().mean().backward()
    assert z0.grad is not None
    return as_stats(statistics(at_start[0] if at_start else z0.grad)), output.detach(), z0.grad


@pytest.fixture
def no_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradprobe.probe, "adapter_for", lambda package, file: None)


def _discovered(case: Case) -> tuple[Report, Denoiser, GradStats]:
    """The report of a run without adapters, and what hooks put in by hand saw in a plain one."""
    by_hand = Denoiser(by_hand=True, state_first=case.state_first)
    start, plain_output, plain_grad = _run(case, by_hand)
    with Probe() as probe:
        _, output, grad = _run(case, Denoiser(by_hand=False, state_first=case.state_first))
    assert torch.equal(output, plain_output)
    assert torch.equal(grad, plain_grad)
    return probe.report(), by_hand, start


@pytest.mark.usefixtures("no_adapters")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stages_are_found_or_unknown(case: Case) -> None:
    report, by_hand, at_start = _discovered(case)
    assert {s.source for s in report.stages} == {"discovered"}
    denoised = [s for s in report.stages if s.name == "denoised_output"]
    assert [s.grad for s in denoised] == list(by_hand.grads.values())
    (start,) = [s for s in report.stages if s.name == "start_state"]
    assert start.grad == at_start
    assert start.step is None
    assert report.stages[0].name == "z0"
    assert report.counts.denoiser_calls == sum(case.calls)
    if case.name in UNKNOWN:
        assert report.counts.steps is None
        assert {s.step for s in report.stages} == {None}
    else:
        assert report.counts.steps == len(case.calls)
        calls = Counter(s.step for s in denoised)
        assert [calls[step] for step in range(len(case.calls))] == list(case.calls)


def test_most_are_known() -> None:
    known = [case for case in CASES if case.name not in UNKNOWN]
    assert len(known) >= 0.8 * len(CASES)
    assert {case.name for case in CASES} >= UNKNOWN
