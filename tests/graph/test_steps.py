"""Which turn of the sampling loop a denoiser call belongs to; None rather than a wrong number."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.traced import Traced, trace

PREAMBLE = """
import torch


class Denoiser(torch.nn.Module):
    def forward(self, x, sigma=1.0):
        return 0.7 * x + 0.1


model = Denoiser()
sigmas = (4.0, 3.0, 2.0, 1.0)
z0 = torch.ones(3, requires_grad=True)
x = z0 * 4.0
"""

END = """
loss = x.pow(2).sum()
loss.backward()
"""


def steps(tmp_path: Path, body: str, end: str = END) -> Traced:
    run = trace(tmp_path, PREAMBLE + textwrap.dedent(body) + end)
    assert run.raised is None
    assert run.report.verdict == "flows", run.report.headline
    return run


def numbers(run: Traced) -> list[int | None]:
    return [s.step for s in run.report.stages if s.name == "denoised_output"]


KNOWN: dict[str, tuple[str, list[int | None]]] = {
    "for": ("for s in sigmas: x = x + 0.1 * (model(x) - x)", [0, 1, 2, 3]),
    "while": (
        """
        n = 0
        while n < 3:
            x = x + 0.1 * (model(x) - x)
            n += 1
        """,
        [0, 1, 2],
    ),
    "Heun: two call sites in one turn": (
        """
        for s in sigmas:
            d = model(x) - x
            ahead = x + 0.1 * d
            x = x + 0.05 * (d + model(ahead) - ahead)
        """,
        [0, 0, 1, 1, 2, 2, 3, 3],
    ),
    "Heun: one call at the last step": (
        """
        for n, s in enumerate(sigmas):
            d = model(x) - x
            if n == len(sigmas) - 1:
                x = x + 0.1 * d
            else:
                ahead = x + 0.1 * d
                x = x + 0.05 * (d + model(ahead) - ahead)
        """,
        [0, 0, 1, 1, 2, 2, 3],
    ),
    "guidance in two calls": (
        """
        for s in sigmas:
            cond, uncond = model(x, 1.0), model(x, 0.0)
            x = x + 0.1 * (uncond + 7.5 * (cond - uncond) - x)
        """,
        [0, 0, 1, 1, 2, 2, 3, 3],
    ),
    "guidance in a function of its own": (
        """
        def guided(x, s):
            cond = model(x, s)
            return model(x, 0.0) + 7.5 * (cond - x)

        def sample(x):
            for s in sigmas:
                x = x + 0.01 * guided(x, s)
            return x

        x = sample(x)
        """,
        [0, 0, 1, 1, 2, 2, 3, 3],
    ),
    "continue": (
        """
        for s in sigmas:
            if s == 3.0:
                continue
            x = x + 0.1 * (model(x) - x)
        """,
        [0, 1, 2],
    ),
    "generator": (
        """
        def sampler(x):
            for s in sigmas:
                x = x + 0.1 * (model(x) - x)
                yield x

        for x in sampler(x):
            pass
        """,
        [0, 1, 2, 3],
    ),
    "a wrapper around the model": (
        """
        class Wrapper(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = model

            def forward(self, x):
                return self.inner(self.inner(x))

        wrapper = Wrapper()
        for s in sigmas:
            x = x + 0.1 * (wrapper(x) - x)
        """,
        [0, 1, 2, 3],
    ),
    "straight-line code": (
        "x = model(x)\nx = model(x)\nx = model(x)",
        [None, None, None],
    ),
    "one call": ("x = model(x)", []),
    "nested loops of a solver": (
        """
        for s in sigmas:
            for inner in range(2):
                x = x + 0.1 * (model(x) - x)
        """,
        [None] * 8,
    ),
    "a solver's loop within the step": (
        """
        def stages(x):
            for c in (0.0, 0.5):
                x = x + 0.1 * (model(x) - x)
            return x

        for s in sigmas:
            x = stages(x)
        """,
        [None] * 8,
    ),
}


@pytest.mark.parametrize(("body", "expected"), KNOWN.values(), ids=KNOWN)
def test_the_steps_of_a_sampler(body: str, expected: list[int | None], tmp_path: Path) -> None:
    run = steps(tmp_path, body)
    assert numbers(run) == expected
    known = [n for n in expected if n is not None]
    assert run.report.counts.steps == (known[-1] + 1 if known else None)
    assert run.report.counts.denoiser_calls == (len(expected) or None)


def test_an_optimisation_around_the_sampler_is_no_step(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        PREAMBLE
        + textwrap.dedent(
            """
            optimizer = torch.optim.Adam([z0], 0.01)
            for iteration in range(5):
                optimizer.zero_grad()
                x = z0 * 4.0
                for s in sigmas:
                    x = x + 0.1 * (model(x) - x)
                loss = x.pow(2).sum()
                loss.backward()
                optimizer.step()
            """
        ),
    )
    report = run.report
    assert (report.verdict, report.findings) == ("flows", ())
    assert report.counts.steps == 4
    assert report.counts.denoiser_calls == 4
    assert numbers(run) == [0, 1, 2, 3]
    assert len(run.report.passes) == 5
    (leaf,) = report.leaves
    assert "4 denoiser calls" in leaf.layers.complete.sentence


def test_a_finding_says_in_which_step_and_how_often(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        PREAMBLE
        + """
for n, s in enumerate(sigmas):
    denoised = model(x)
    if n >= 1:
        denoised = denoised.detach()  # <- lost
    x = x + 0.1 * (denoised - x)
"""
        + END,
    )
    assert run.report.verdict == "partial"
    assert (run.first.code, run.first.count, run.first.step) == ("GP101", 3, 1)
    assert run.first.stage == "denoised_output"
    assert run.is_at(run.first.at, "lost")
    (leaf,) = run.report.leaves
    assert leaf.layers.complete.answer == "no"


def test_a_chain_of_200_000_ops_with_a_cut_is_named_and_drawn() -> None:
    program = """
    import torch, gradprobe
    with gradprobe.Probe() as probe:
        z0 = torch.zeros(2, requires_grad=True)
        x = z0
        for step in range(200_000):
            x = x + 1
            if step == 100_000:
                x = x.detach() + 0.5 * x
        loss = x.sum()
        loss.backward()
    report = probe.report()
    finding, = report.findings
    print(report.verdict, finding.code, finding.at.source.strip())
    picture = report.render("svg")
    assert "GP101" in picture and len(report.picture.boxes) <= 300
    del loss, x
    print("freed", report.counts.ops >= 200_000)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["partial GP101 ", "freed True"]


def test_a_deep_chain_of_views_and_writes_is_freed_without_a_crash() -> None:
    """torch crashes when it frees a deep chain whose every grad_fn was asked for."""
    program = """
    import torch
    import gradprobe

    with gradprobe.Probe() as probe:
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * 2.0
        for _ in range(20_000):
            x = x.view(2, 2)
            x = x.view(4) * 1.0
            x.mul_(1.0)
        loss = x.sum()
        loss.backward()
        del x, loss
    print(probe.report().verdict)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "flows\n"
