"""A long loop: the iteration in which it began to fail is named, and memory stays as it was."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from torch import Tensor

import gradprobe
from tests.traced import Traced, trace

TURNS = 200
LOOP = """
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
z0 = torch.randn(2, 4, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=1e-3)
for i in range({turns}):
    optimizer.zero_grad()
    x = z0
    for step in range(3):
        x = x + 0.1 * net(x)
    {planted}
    loss = (x - 0.5).pow(2).mean()
    try:
        loss.backward()
    except RuntimeError:
        pass
    optimizer.step()
"""
PLANTED = {
    "broken": ("x = x.detach() if i >= 136 else x  # <- bad", "GP101"),
    "zero": ("x = x.round() if i >= 136 else x  # <- bad", "GP301"),
    "nonfinite": ("x = (x - x).sqrt() if i >= 136 else x  # <- bad", None),
    "partial": ("x = x + z0.detach() if i >= 136 else x  # <- bad", "GP101"),
    "error": ("x = x.add_(x.exp_()) if i >= 136 else x  # <- bad", "GP201"),
}


def planted(folder: Path, text: str) -> Traced:
    return trace(folder, LOOP.format(turns=TURNS, planted=text))


@pytest.mark.parametrize("verdict", PLANTED)
def test_a_failure_from_iteration_137_on_is_named(verdict: str, tmp_path: Path) -> None:
    text, code = PLANTED[verdict]
    run = planted(tmp_path, text)
    report = run.report
    assert report.verdict == verdict, report.headline
    assert f"at iteration 137 of {TURNS}" in report.headline
    if code is not None:
        assert run.first.code == code
        assert run.is_at(run.first.at, "bad")
    assert [p.index for p in report.passes] == list(range(TURNS))
    assert report.stages[0].connected["z0"] == "yes"  # not unknown, as of a past turn's value
    kept = [p.index for p in report.passes if p.kept]
    assert {0, 136, 199} <= set(kept)
    assert len(kept) <= 8
    told = run.report.render("text", width=200)
    assert f"{TURNS} backward passes: gradient norm of z0 " in told
    assert ("failing from iteration 137 on" in told) == (verdict != "partial")


def test_one_iteration_that_fails_among_well_ones(tmp_path: Path) -> None:
    run = planted(tmp_path, "x = x * float('nan') if i == 136 else x  # <- bad")
    assert run.report.verdict == "nonfinite"
    assert f"at iteration 137 of {TURNS}" in run.report.headline
    # Adam carries the NaN on: all that follow fail too.
    assert "failing from iteration 137 on" in run.report.render("text", width=200)


def test_a_loop_that_fails_from_the_start_names_no_iteration(tmp_path: Path) -> None:
    run = planted(tmp_path, "x = x.detach()  # <- bad")
    assert run.report.verdict == "broken"
    assert " at iteration " not in run.report.headline
    assert run.is_at(run.first.at, "bad")


def test_a_well_loop_is_clean_and_its_table_is_of_one_iteration(tmp_path: Path) -> None:
    run = planted(tmp_path, "gradprobe_point = x")
    report = run.report
    assert (report.verdict, report.findings, report.unseen) == ("flows", (), ())
    names = [stage.name for stage in report.stages]
    assert names.count("start_state") == names.count("final_output") == 1
    assert report.counts.denoiser_calls == 3
    assert report.counts.ops > 20 * TURNS  # what was forgotten counts


def test_tapped_stages_are_those_of_the_judged_iteration(tmp_path: Path) -> None:
    run = planted(tmp_path, "import gradprobe; gradprobe.tap('final', x)")
    (final,) = [stage for stage in run.report.stages if stage.name == "final"]
    assert final.grad is not None
    last = run.report.passes[-1].reached["z0"]
    assert last is not None
    assert last.norm > 0


Update = Callable[[Tensor], None]


def by_hand(z0: Tensor) -> None:
    assert z0.grad is not None
    with torch.no_grad():
        z0 -= 0.05 * z0.grad
    z0.grad = None


def by_data(z0: Tensor) -> None:
    assert z0.grad is not None
    z0.data -= 0.05 * z0.grad
    z0.grad = None


def unet() -> Any:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(4,),
        norm_num_groups=2,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        add_attention=False,
    ).requires_grad_(False)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own
@pytest.mark.parametrize(
    ("scheduler", "update", "turns", "fails_from"),
    [
        (DDIMScheduler, None, 200, None),
        (DPMSolverMultistepScheduler, None, 25, None),
        (DDIMScheduler, by_hand, 25, None),
        (DDIMScheduler, by_data, 25, None),
        (DDIMScheduler, None, 40, 21),
    ],
)
def test_memory_is_flat_after_five_iterations(
    scheduler: Any, update: Update | None, turns: int, fails_from: int | None
) -> None:
    """With an average of outputs, a list of losses and a scheduler that all live on."""
    plain = optimised(nullcontext(), scheduler, update, turns, fails_from)
    probe = gradprobe.Probe()
    sizes = optimised(probe, scheduler, update, turns, fails_from)
    report = probe.report()
    assert report.verdict == ("nonfinite" if fails_from else "flows"), report.headline
    fails = fails_from is not None
    more = 2 if fails else 1  # the first iteration that fails, beside the first that are well
    assert sizes[turns][0] <= sizes[5][0] * (1 + 0.5 * (more - 1)) + 1024
    # Columns that went one turn further, and 60 bytes of statistics an iteration.
    grown, own = sizes[turns][1] - sizes[6][1], plain[turns][1] - plain[6][1]
    assert grown - own < 150_000 * more, (sizes, plain)
    assert report.cost.record_bytes < sizes[turns][0] + 100 * turns
    assert len([p for p in report.passes if p.kept]) <= 8
    if fails:
        assert f"at iteration {fails_from} of {turns}" in report.headline


def optimised(
    probe: AbstractContextManager[object],
    scheduler: Any,
    update: Update | None,
    turns: int,
    fails_from: int | None,
) -> dict[int, tuple[int, int]]:
    """Bytes of records, and of all that Python holds, after turns 5 and 6 and the last."""
    net, solver = unet(), scheduler(num_train_timesteps=50)
    solver.set_timesteps(2)
    z0 = torch.randn(1, 1, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([z0], lr=0.01)
    average, losses = torch.zeros(1, 1, 8, 8), []
    sizes: dict[int, tuple[int, int]] = {}
    try:
        with probe:
            for i in range(turns):
                x = z0
                for t in solver.timesteps:
                    x = solver.step(net(x, t).sample, t, x).prev_sample
                if scheduler is DPMSolverMultistepScheduler:
                    solver.set_timesteps(2)
                average = 0.9 * average + 0.1 * x.detach()
                fails = fails_from is not None and i + 1 >= fails_from
                loss = (x - 0.3).pow(2).mean() * (float("nan") if fails else 1.0)
                losses.append(loss.item())
                loss.backward()
                if update is None:
                    optimizer.step()
                    optimizer.zero_grad()
                else:
                    update(z0)
                if i == 2:
                    tracemalloc.start(1)
                if i + 1 in (5, 6, turns):
                    gc.collect()
                    held = 0
                    if isinstance(probe, gradprobe.Probe):
                        held = probe._recorder.journal.record_bytes()
                    sizes[i + 1] = held, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return sizes


def test_a_leaf_of_the_same_name_that_lives_on_hides_no_gradient(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
import torch
held = []
for i in range(3):
    z0 = torch.randn(2, 4, requires_grad=True)
    z0.tanh().sum().backward()
    z0 = z0.detach().requires_grad_()
    z0.exp().sum().backward()
    held.append(z0)
""",
    )
    passes = [row.reached["z0"] for row in run.report.passes]
    assert len(passes) == 6
    assert None not in passes
