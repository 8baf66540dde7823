"""Stages, steps, calls and noise levels of diffusers' schedulers, in a loop written by hand."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from gradprobe.adapters.diffusers_schedulers import UPDATES
from gradprobe.probe import Probe
from gradprobe.records.report import Report, Stage, ValueStats
from tests.adapters.diffusers.loop import Run, leaf, sample
from tests.adapters.diffusers.truth import STEPS, TRUTHS, Truth

pytestmark = [
    # NumPy, of a tensor that it is given.
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Should have:UserWarning:torchsde"),  # its own rounding
]


def scheduler_of(truth: Truth) -> Any:
    scheduler = getattr(diffusers, truth.scheduler)(**truth.config)
    scheduler.set_timesteps(STEPS)
    return scheduler


@cache
def probed(name: str) -> tuple[Run, Run, Report]:
    """The plain run of a row, the same under the probe, and the report."""
    (truth,) = (t for t in TRUTHS if t.name == name)
    scheduler = scheduler_of(truth)
    plain = sample(scheduler, leaf(), dict(truth.options), scheduler.timesteps)
    scheduler = scheduler_of(truth)
    with Probe() as probe:
        z0 = leaf()
        run = sample(scheduler, z0, dict(truth.options), scheduler.timesteps)
    return plain, run, probe.report()


def adapted(report: Report, name: str) -> list[Stage]:
    return [s for s in report.stages if s.name == name and s.source == "adapted"]


def value_stats(x: Tensor) -> ValueStats:
    x = x.detach().double()
    return ValueStats(
        mean=x.mean().item(),
        std=x.std(correction=0).item(),
        abs_max=x.abs().max().item(),
        nonfinite=int((~x.isfinite()).sum()),
    )


def close(seen: ValueStats | None, x: Tensor) -> bool:
    assert seen is not None
    expected = value_stats(x)
    return seen.nonfinite == expected.nonfinite and all(
        math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)
        for a, b in (
            (seen.mean, expected.mean),
            (seen.std, expected.std),
            (seen.abs_max, expected.abs_max),
        )
    )


@pytest.fixture(params=TRUTHS, ids=lambda truth: truth.name)
def truth(request: pytest.FixtureRequest) -> Truth:
    found: Truth = request.param
    return found


def test_a_scheduler_is_told_as_its_source_says(truth: Truth) -> None:
    plain, run, report = probed(truth.name)
    assert torch.equal(run.image, plain.image)
    assert torch.equal(run.grad, plain.grad)

    seen = Counter((s.name, s.step) for s in report.stages if s.source == "adapted")
    assert seen == Counter(
        {
            (name, step): count
            for name, counts in truth.stages.items()
            for step, count in enumerate(counts)
            if count
        }
    )
    table, indices = truth.levels
    published = getattr(scheduler_of(truth), table)
    levels = [float(published[index]) for index in indices]
    for stage in report.stages:
        if stage.source == "adapted":
            assert stage.step is not None
            assert stage.sigma == levels[stage.step], stage.name
    assert report.counts.steps == STEPS
    assert report.counts.denoiser_calls == sum(truth.calls)
    assert [(call.step, call.call) for call in report.calls] == [
        (step, call) for step, calls in enumerate(truth.calls) for call in range(calls)
    ]


def test_the_records_are_of_the_tensors_that_step_was_given_and_gave(truth: Truth) -> None:
    _, run, report = probed(truth.name)
    moves = iter(run.moves)
    steps = [[next(moves) for _ in range(calls)] for calls in truth.calls]

    inputs, outputs = adapted(report, "step_input"), adapted(report, "step_output")
    assert [s.step for s in inputs] == [s.step for s in outputs] == list(range(STEPS))
    assert all(close(s.value, step[0].sample) for s, step in zip(inputs, steps, strict=True))
    assert all(close(s.value, step[-1].prev_sample) for s, step in zip(outputs, steps, strict=True))
    taken = adapted(report, "model_output")
    assert [(s.step, s.call) for s in taken] == [
        (step, call) for step, calls in enumerate(truth.calls) for call in range(calls)
    ]
    assert all(close(s.value, m.model_output) for s, m in zip(taken, run.moves, strict=True))
    assert all(s.connected == {"z0": "yes"} for s in (*inputs, *outputs, *taken))


def test_around_the_steps_the_dataflow_shows_where_the_loop_starts_and_ends(truth: Truth) -> None:
    _, run, report = probed(truth.name)
    (start,) = (s for s in report.stages if s.name == "start_state")
    (final,) = (s for s in report.stages if s.name == "final_output")
    assert {start.source, final.source} == {"discovered"}
    assert start.at is not None
    assert start.at.source.strip() == 'x = z0 * getattr(scheduler, "init_noise_sigma", 1.0)'
    assert start.shape == final.shape == tuple(run.image.shape)
    assert (start.step, final.step) == (None, None)
    # The denoiser's answer keeps its own name beside the scheduler's word for it.
    denoised = [s for s in report.stages if s.name == "denoised_output"]
    assert [(s.step, s.call, s.source) for s in denoised] == [
        (step, call, "discovered")
        for step, calls in enumerate(truth.calls)
        for call in range(calls)
    ]


def test_a_record_is_at_the_line_that_assigned_it() -> None:
    _, _, report = probed("euler-ancestral")
    scheduler = diffusers.EulerAncestralDiscreteScheduler
    lines, first = inspect.getsourcelines(scheduler.step)

    def line_of(text: str) -> int:
        (found,) = (first + i for i, line in enumerate(lines) if line.strip().startswith(text))
        return found

    for name, text in (
        ("pred_original_sample", "pred_original_sample = sample - sigma * model_output"),
        ("step_noise", "noise = randn_tensor("),
        # Later it is cast to its own dtype, which is no assignment: the same tensor stays.
        ("step_output", "prev_sample = prev_sample + noise * sigma_up"),
    ):
        for stage in adapted(report, name):
            assert stage.at is not None
            assert stage.at.file == inspect.getfile(scheduler)
            assert stage.at.line == line_of(text)
            assert stage.at.function.endswith("step")


def test_a_clipped_prediction_is_recorded_once_and_after_clipping() -> None:
    _, _, report = probed("ddim")
    predictions = adapted(report, "pred_original_sample")
    assert [s.step for s in predictions] == list(range(STEPS))
    assert all(s.value is not None and s.value.abs_max <= 1 for s in predictions)
    assert {s.grad_fn for s in predictions} == {"ClampBackward1"}


@pytest.mark.parametrize(
    ("name", "order"), [("EulerDiscreteScheduler", 1), ("HeunDiscreteScheduler", 2)]
)
def test_steps_of_a_run_that_begins_late_are_counted_from_zero(name: str, order: int) -> None:
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(STEPS)
    begin = 2 * order
    scheduler.set_begin_index(begin)
    with Probe() as probe:
        z0 = leaf()
        sample(scheduler, z0, {}, scheduler.timesteps[begin:])
    report = probe.report()
    assert report.counts.steps == 3
    assert [(s.step, s.sigma) for s in adapted(report, "step_output")] == [
        (step, float(scheduler.sigmas[begin + step * order])) for step in range(3)
    ]


def test_casts_inside_a_step_are_no_stages() -> None:
    scheduler = diffusers.EulerDiscreteScheduler()
    scheduler.set_timesteps(STEPS)
    with Probe() as probe:
        z0 = leaf(torch.bfloat16)
        sample(scheduler, z0, {}, scheduler.timesteps)
    report = probe.report()
    inputs, outputs = adapted(report, "step_input"), adapted(report, "step_output")
    assert [s.step for s in inputs] == [s.step for s in outputs] == list(range(STEPS))
    assert {s.dtype for s in (*inputs[1:], *outputs)} == {"bfloat16"}
    assert {s.dtype for s in adapted(report, "pred_original_sample")} == {"float32"}


def test_every_scheduler_of_the_adapter_has_its_row() -> None:
    assert {update.scheduler for update in UPDATES} == {t.scheduler for t in TRUTHS}


def _argument_names(method: Any) -> Sequence[str]:
    return list(inspect.signature(method).parameters)


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update.scheduler)
def test_the_names_are_those_of_the_installed_library(update: Any) -> None:
    scheduler = getattr(diffusers, update.scheduler)
    assert scheduler.__module__ == update.place
    for method in update.updates:
        function = vars(scheduler)[method]  # its own: a base's would have the base's name
        assert {"sample", "model_output"} <= {*_argument_names(function)}
        names = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
        assert {update.moved, *update.own, *([update.noise] if update.noise else [])} <= names
    if update.clean is not None:
        assert update.clean in vars(scheduler)[update.within].__code__.co_varnames
