"""The five checks of `gradprobe selftest`, and the diagnosis when one of them fails."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TextIO

import torch
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text
from torch import Tensor

from gradprobe.probe import Probe
from gradprobe.records.report import Report
from gradprobe.selftest.messages import Messages, messages_in
from gradprobe.selftest.program import (
    Breaks,
    Outcome,
    run_program,
    settings,
    through_steps_alone,
)
from gradprobe.selftest.res_sampler import SamplerConfig

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered line: whether it holds, and the numbers that say so."""

    holds: bool
    detail: str


def run(
    step_noise: bool = False,
    lang: str = "en",
    breaks: Breaks | None = None,
    out: TextIO | None = None,
) -> int:
    """Run the program under a probe, print five checks and the verdict; 0 if passed, 1 if not.

    `step_noise` adds noise derived from z0 to every step and asks for gradient through it too.
    `breaks` switches faults on. Prints to `out`, by default standard output. Raises `UsageError`
    for an unknown `lang`.
    """
    say = messages_in(lang)
    breaks = breaks or Breaks()
    config = settings(step_noise, breaks)
    console = Console(
        file=out or sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    _print_title(console, config, say.step_noise_on if step_noise else say.step_noise_off, say)

    report, outcome = probed(config, breaks)
    checks = five_checks(outcome, say)
    _print_checks(console, checks, say)
    passed = report.verdict == "flows" and all(check.holds for check in checks)
    sentence = say.broken
    if step_noise:
        narrower, arrived = probed(through_steps_alone(config), breaks)
        share = step_noise_share(config, arrived, say)
        console.print(f"\n{share.detail}")
        if passed and not (narrower.verdict == "flows" and share.holds):
            passed, report, sentence = False, narrower, say.start_only

    console.print()
    if passed:
        console.print(say.passed, style="green")
        return 0
    console.print(sentence if report.findings else say.unexplained, style="red")
    console.print()
    coloured = console.is_terminal and not console.no_color
    console.file.write(report.render("text", color=coloured))
    return 1


def five_checks(outcome: Outcome, say: Messages) -> list[Check]:
    """What the run shows, in order: forward, anchor, backward, gradient, Adam step."""
    output, anchor, grad = outcome.sample.output, outcome.sample.anchor, outcome.z0.grad
    moved = float((outcome.z0.detach() - outcome.before).abs().mean())
    return [
        Check(output.requires_grad, _tensor(output, say)),
        Check(
            anchor is not None and anchor.requires_grad,
            say.no_anchor if anchor is None else _tensor(anchor, say),
        ),
        Check(
            outcome.failure is None,
            say.loss.format(loss=float(outcome.loss.detach()))
            if outcome.failure is None
            else say.backward_raised.format(error=outcome.failure),
        ),
        _gradient(grad, say),
        Check(moved > 0, say.moved.format(moved=moved) if moved > 0 else say.not_moved),
    ]


def step_noise_share(config: SamplerConfig, outcome: Outcome, say: Messages) -> Check:
    """What reaches z0 by way of the step noise: the gradient of a run that starts without z0.

    The start has the same numbers there, so that gradient is exactly the part of the whole one
    that came through the step noise. The scales say why: noise times 0 carries nothing.
    """
    levels = config.sigmas()[:-1]
    scales = ", ".join(f"{config.noise_scale(level):.3f}" for level in levels)
    calm = replace(config, s_churn=0.0)
    without = max(calm.noise_scale(level) for level in levels)
    grad = outcome.z0.grad
    mean = 0.0 if grad is None else float(grad.abs().mean())
    lines = [
        say.noise_scale.format(scales=scales, without=f"{without:g}"),
        say.share.format(mean=mean) if mean else say.no_share,
    ]
    return Check(mean > 0, "\n".join(lines))


def probed(config: SamplerConfig, breaks: Breaks) -> tuple[Report, Outcome]:
    """One run of the program under a probe: the diagnosis, and what the program left behind."""
    with Probe(leaves=["z0"]) as probe:
        outcome = run_program(config, breaks)
    return probe.report(), outcome


def _gradient(grad: Tensor | None, say: Messages) -> Check:
    if grad is None:
        return Check(False, say.gradient_missing)
    if not torch.isfinite(grad).all():
        return Check(False, say.gradient_nonfinite)
    size = grad.abs()
    if not size.any():
        return Check(False, say.gradient_zero)
    mean, largest, smallest = float(size.mean()), float(size.max()), float(size.min())
    return Check(True, say.gradient.format(mean=mean, max=largest, min=smallest))


def _tensor(x: Tensor, say: Messages) -> str:
    shape = "x".join(str(size) for size in x.shape)
    return say.tensor.format(shape=shape, requires_grad=x.requires_grad)


def _print_title(console: Console, config: SamplerConfig, mode: str, say: Messages) -> None:
    console.print(say.title, style="bold")
    console.print(
        say.settings.format(
            steps=config.num_steps,
            high=config.sigma_max,
            low=config.sigma_min,
            rho=config.rho,
            mode=mode,
        )
    )
    console.print()


def _print_checks(console: Console, checks: list[Check], say: Messages) -> None:
    marks = [say.ok if check.holds else say.failed for check in checks]
    name_width = max(map(cell_len, say.check_names))
    mark_width = max(map(cell_len, marks))
    indent = len("1. ") + name_width + 2 + mark_width + 2
    for number, (name, mark, check) in enumerate(
        zip(say.check_names, marks, checks, strict=True), 1
    ):
        line = Text(f"{number}. {set_cell_size(name, name_width)}  ")
        line.append(set_cell_size(mark, mark_width), style="green" if check.holds else "red")
        first, *others = wrap(check.detail, WIDTH - indent)
        line.append(f"  {first}")
        console.print(line)
        for other in others:
            console.print(" " * indent + other)
