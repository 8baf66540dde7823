"""Truth tables of samplers, written by hand from their source, and runs held against them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gradprobe import Probe
from gradprobe.records.report import Report

Stages = Sequence[str | tuple[str, float | None]]


@dataclass(frozen=True)
class Step:
    """One step: its noise level, its denoiser calls, its stages in order.

    A stage is its name, or the name and its noise level where that is not the step's.
    """

    sigma: float | None
    calls: int
    stages: Stages


@dataclass(frozen=True)
class Truth:
    """What an adapter tells of a sampler's run: before, in and after its steps."""

    before: Stages
    steps: Sequence[Step]
    after: Stages = ()
    calls_after: int = 0  # denoiser calls that are in no step

    @property
    def rows(self) -> list[tuple[int | None, str]]:
        rows: list[tuple[int | None, str]] = [(None, _name(s)) for s in self.before]
        for number, step in enumerate(self.steps):
            rows += [(number, _name(s)) for s in step.stages]
        return rows + [(None, _name(s)) for s in self.after]

    @property
    def sigmas(self) -> list[float | None]:
        outside = [[(None, self.before)], [(s.sigma, s.stages) for s in self.steps]]
        levels = [
            stage[1] if isinstance(stage, tuple) else sigma
            for part in (*outside, [(None, self.after)])
            for sigma, stages in part
            for stage in stages
        ]
        return [None if level is None else pytest.approx(level, rel=1e-5) for level in levels]


def _name(stage: str | tuple[str, float | None]) -> str:
    return stage if isinstance(stage, str) else stage[0]


def holds(program: Callable[[Tensor], Tensor], z0: Tensor, truth: Truth) -> Report:
    """Run a sampler with and without a probe, and compare the report with the table.

    `program` makes the sampler's output from `z0`. Output and gradient have to be the same bits.
    """
    plain_output, plain_grad = _run(program, z0)
    with Probe() as probe:
        output, grad = _run(program, z0)
    assert torch.equal(output, plain_output)
    assert torch.equal(grad, plain_grad)
    report = probe.report()
    assert_told(report, truth)
    calls = Counter(call.step for call in report.calls)
    assert [calls[number] for number in range(len(truth.steps))] == [s.calls for s in truth.steps]
    assert report.counts.steps == len(truth.steps)
    assert calls[None] == truth.calls_after
    assert report.counts.denoiser_calls == sum(calls.values())
    return report


def is_cut_off(program: Callable[[Tensor], Tensor], z0: Tensor, truth: Truth) -> None:
    """Run a sampler that loses all gradient: its stages are told, none of its steps connected."""
    torch.manual_seed(3)
    with Probe() as probe:
        leaf = z0.clone().requires_grad_()
        loss = program(leaf).square().mean()
        with pytest.raises(RuntimeError, match="does not require grad"):
            loss.backward()
    report = probe.report()
    assert_told(report, truth)
    outputs = [stage for stage in report.stages if stage.name == "step_output"]
    assert [dict(stage.connected) for stage in outputs] == [{"leaf": "no"}] * len(truth.steps)


def assert_told(report: Report, truth: Truth) -> None:
    """The adapter's records are those of the table, with its steps and noise levels."""
    adapted = [stage for stage in report.stages if stage.source == "adapted"]
    assert [(stage.step, stage.name) for stage in adapted] == truth.rows
    assert [stage.sigma for stage in adapted] == truth.sigmas


def steps_with_noise(report: Report) -> list[int | None]:
    """The steps of all step noise, whoever named it."""
    return [stage.step for stage in report.stages if stage.name == "step_noise"]


def _run(program: Callable[[Tensor], Tensor], z0: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    leaf = z0.clone().requires_grad_()
    output = program(leaf)
    output.square().mean().backward()
    assert leaf.grad is not None
    return output.detach(), leaf.grad
