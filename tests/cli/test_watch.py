"""`gradprobe watch`: a loop of hundreds of iterations, and the first one that goes bad."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gradprobe

Run = Callable[..., subprocess.CompletedProcess[str]]
LOOP = """\
import torch
from torch import nn

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4).requires_grad_(False)
        self.iteration = 0

    def forward(self, x):
        hidden = self.inner(x)
        if self.iteration {when}:
            hidden = {bad}  # <- bad
        return hidden.tanh()


net = Net()
z0 = torch.randn(2, 4, requires_grad=True)
for iteration in range({iterations}):
    net.iteration = iteration
    x = z0 * 2.0
    for _ in range(2):
        x = {step}
    loss = x.square().mean()
    z0.grad = None
    loss.backward()
    z0.data -= 0.01 * z0.grad
"""

PIPELINE = """\
import hashlib

import torch
from diffusers import EulerDiscreteScheduler, UNet2DModel

torch.manual_seed(0)
torch.set_num_threads(1)
unet = UNet2DModel(
    sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=4,
    down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
).requires_grad_(False)
scheduler = EulerDiscreteScheduler(num_train_timesteps=100)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.01)
gradients = hashlib.sha256()
for iteration in range(30):
    scheduler.set_timesteps(3)
    x = z0 * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        predicted = unet(scheduler.scale_model_input(x, t), t).sample
        if iteration >= 20:
            predicted = predicted.detach()  # <- bad
        x = scheduler.step(predicted, t, x).prev_sample
    loss = x.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    gradients.update(z0.grad.numpy().tobytes())
print("gradients", gradients.hexdigest())
"""


def written(
    here: Path, when: str, bad: str, step: str = "x + net(x) * 0.5", iterations: int = 340
) -> int:
    """Write the program; returns the marked line."""
    text = LOOP.format(when=when, bad=bad, step=step, iterations=iterations)
    (here / "run.py").write_text(text)
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# <- bad"))


@pytest.mark.parametrize(
    ("bad", "step", "code", "verdict"),
    [
        ("hidden.detach()", "x + net(x) * 0.5", "GP101", "partial"),
        ("hidden.detach()", "net(x) * 1.5", "GP101", "broken"),  # backward raises, and ends it
        ("hidden.clamp(9.0, 9.5)", "net(x) * 1.5", "GP303", "zero"),
        ("(hidden - hidden).sqrt()", "x + net(x) * 0.5", "GP302", "nonfinite"),
    ],
)
def test_the_first_bad_iteration_is_named_with_its_line(
    here: Path, command: Run, bad: str, step: str, code: str, verdict: str
) -> None:
    line = written(here, ">= 320", bad, step)
    done = command("watch", "--fail-on", "warning", "-o", "report.json", "run.py")
    report = gradprobe.load("report.json")
    assert (done.returncode, report.verdict) == (1, verdict)
    first = next(f for f in report.findings if f.severity != "note")
    assert (first.code, Path(first.at.file).name, first.at.line) == (code, "run.py", line)
    assert first.certainty == "proven"
    if verdict != "broken":  # there it is the last one, whose backward has no number yet
        assert "at iteration 321 of 340" in report.headline


def test_a_pipeline_of_diffusers_runs_as_it_does_alone_and_its_bad_line_is_named(
    here: Path,
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        # Each in its own process: diffusers warns, which here would be an error.
        return subprocess.run([sys.executable, *words, "run.py"], capture_output=True, text=True)

    (here / "run.py").write_text(PIPELINE)
    alone = run()
    watch = ("-m", "gradprobe", "watch", "--fail-on", "warning", "-o", "report.json")
    done = run(*watch)
    assert (alone.returncode, done.returncode) == (0, 1)
    assert alone.stdout.startswith("gradients ")
    assert alone.stdout in done.stdout  # every gradient, bit for bit
    report = gradprobe.load("report.json")
    first = report.findings[0]
    line = PIPELINE.splitlines().index("            predicted = predicted.detach()  # <- bad") + 1
    assert (first.code, first.certainty, first.at.line) == ("GP101", "proven", line)
    assert "at iteration 21 of 30" in report.headline
    states = [stage for stage in report.stages if stage.name == "step_input"]
    assert len(states) == 3
    assert all(stage.grad is not None and stage.grad.norm > 0 for stage in states)


def test_what_lasted_for_one_iteration_is_found_by_a_second_run(here: Path, command: Run) -> None:
    line = written(here, "== 20", "hidden.detach()", iterations=40)
    done = command("watch", "--fail-on", "warning", "-o", "report.json", "run.py")
    assert "running the program again to find the line" in done.stderr
    first = gradprobe.load("report.json").findings[0]
    assert (first.code, first.at.line, first.certainty) == ("GP101", line, "proven")


def test_a_loop_that_is_well_ends_with_its_norms(here: Path, command: Run) -> None:
    written(here, "< 0", "None", iterations=30)
    done = command("watch", "run.py")
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert told.startswith("flows: gradient of loss reaches z0")
    assert "30 backward passes: gradient norm of z0 " in told


def test_a_target_that_is_not_there_is_one_line(here: Path, command: Run) -> None:
    done = command("watch", "nowhere.py")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
