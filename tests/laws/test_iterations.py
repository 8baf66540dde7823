"""A run whose middle iterations are forgotten has the report of the run that kept them all."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradprobe.probe import Probe
from gradprobe.records.report import Report
from gradprobe.records.source import Frame
from tests.graph.random_programs import EVERY, leaves, programs
from tests.laws.cases import Case, judged
from tests.thorough import examples, some

TURNS = 7
Program = Callable[[], Callable[[], None]]  # made before the probe starts, run under it


@contextlib.contextmanager
def collected_by_hand() -> Iterator[None]:
    """What lives in a cycle dies when the program says so, not when enough was allocated.

    How much is allocated depends on what is forgotten, and a leaf that lives on is seen.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def report_of(program: Program, *, forgets: bool, named: tuple[str, ...] = ()) -> Report:
    run = program()
    torch.manual_seed(0)
    np.random.seed(0)
    gc.collect()
    probe = Probe(leaves=named)
    probe._recorder.iterations.forgets = forgets
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with probe, collected_by_hand(), contextlib.suppress(Exception, SystemExit):
            run()
    assert not any("not looked at again" in said for said in probe.report().unseen)
    assert forgets or not probe._recorder.journal.forgotten
    return probe.report()


def line(frame: Frame | None) -> object:
    return None if frame is None else (frame.file, frame.line, frame.col)


def told(report: Report) -> dict[str, object]:
    """What has to be the same, whatever is forgotten."""
    return {
        "verdict": report.verdict,
        "headline": report.headline,
        "findings": [
            (
                f.code,
                f.severity,
                f.certainty,
                f.leaf,
                line(f.at),
                line(f.opened_by),
                [(r.word, line(r.at)) for r in f.related],
                f.message,
            )
            for f in report.findings
        ],
        "leaves": [
            (
                leaf.name,
                line(leaf.at),
                leaf.verdict,
                repr(leaf.grad),
                leaf.layers.connected,
                leaf.layers.complete,
            )
            for leaf in report.leaves
        ],
        "root": report.root and (report.root.name, line(report.root.at), report.root.how),
        "stages": [
            (s.name, s.step, s.call, line(s.at), s.shape, dict(s.connected)) for s in report.stages
        ],
        "calls": [(c.step, c.call, line(c.at), c.entered, dict(c.left)) for c in report.calls],
        "passes": [(p.index, line(p.at), repr(dict(p.reached)), p.raised) for p in report.passes],
        "ops": report.counts.ops,
    }


def same(program: Program, named: tuple[str, ...] = ()) -> tuple[Report, Report]:
    whole = report_of(program, forgets=False, named=named)
    short = report_of(program, forgets=True, named=named)
    one, other = told(whole), told(short)
    for part, expected in one.items():
        assert other[part] == expected, f"{part} differs where iterations are forgotten"
    return whole, short


def compiled(folder: Path, text: str, given: Callable[[], dict[str, Any]] = dict) -> Program:
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    code = compile(text, str(path), "exec")

    def program() -> Callable[[], None]:
        names = {"__name__": "__main__", "torch": torch, **given()}
        return lambda: exec(code, names)

    return program


BEGIN = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
def sample(x, turns=3):
    for turn in range(turns):
        x = x + 0.1 * net(x)
    return x
z0 = torch.randn(2, 4, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.01)
"""

CARRIED = {
    "nothing": """
for i in range(12):
    optimizer.zero_grad()
    loss = sample(z0).pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "an update by hand": """
for i in range(12):
    loss = sample(z0).pow(2).mean()
    loss.backward()
    with torch.no_grad():
        z0 -= 0.1 * z0.grad
    z0.grad = None
""",
    "an update of .data": """
for i in range(12):
    loss = sample(z0).pow(2).mean()
    loss.backward()
    z0.data -= 0.1 * z0.grad
""",
    "an average of outputs that the loss takes": """
mean = torch.zeros(2, 4)
for i in range(12):
    x = sample(z0)
    loss = (x - mean).pow(2).mean()
    loss.backward()
    optimizer.step()
    mean = 0.9 * mean + 0.1 * x.detach()
""",
    "an average that loses another line later": """
mean = torch.zeros(2, 4)
for i in range(14):
    x = sample(z0)
    loss = (x - mean).pow(2).mean() + 0.1 * z0.mean()
    loss.backward()
    if i < 8:
        mean = 0.9 * mean + 0.1 * x.detach()
    else:
        mean = 0.9 * mean + 0.1 * x.data
""",
    "a lag of two turns": """
kept = late = torch.zeros(2, 4)
for i in range(16):
    x = sample(z0)
    loss = (x - late).pow(2).mean()
    loss.backward()
    late = late * 0.5 + kept * 0.5
    kept = x.detach() if i != 9 else x.data
""",
    "a history of outputs": """
history = []
for i in range(12):
    x = z0
    for turn in range(3):
        history.append(net(x).detach())
        x = x + 0.1 * history[-1] - 0.01 * sum(history[-2:])
    loss = x.pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "a history with its graph": """
history = []
for i in range(12):
    x = z0
    for turn in range(3):
        history.append(net(x))
        x = x + 0.1 * history[-1] - 0.01 * sum(history[-2:])
    loss = x.pow(2).mean()
    loss.backward()
""",
    "a history with its graph from turn 9 on": """
history = []
for i in range(12):
    x = sample(z0) + (0.1 * history[0] if i >= 9 else 0.0)
    history = [x.exp() if i == 8 else x.exp().detach()]
    loss = x.pow(2).mean()
    loss.backward()
""",
    "a start with its graph": """
start = z0.exp()
for i in range(12):
    loss = sample(start).pow(2).mean()
    loss.backward(retain_graph=True)
""",
    "truncated back-propagation": """
state = z0.tanh()
for i in range(12):
    state = sample(state.detach() + 0.1 * z0)
    loss = state.pow(2).mean()
    loss.backward()
""",
    "a sum of losses": """
losses = []
for i in range(8):
    losses.append(sample(z0).pow(2).mean())
    losses[-1].backward(retain_graph=True)
    optimizer.step() if i < 0 else None
sum(losses).backward()
""",
    "a leaf made in each turn": """
z = torch.randn(2, 4)
for i in range(12):
    z = z.detach().requires_grad_()
    loss = sample(z).pow(2).mean()
    grad, = torch.autograd.grad(loss, z)
    z = z - 0.1 * grad
""",
    "a leaf drawn in each turn": """
for i in range(12):
    z = torch.randn(2, 4, requires_grad=True)
    loss = sample(z).pow(2).mean()
    loss.backward()
""",
    "a gradient in each step": """
for i in range(6):
    x = z0
    for turn in range(4):
        x = sample(x, 1)
        grad, = torch.autograd.grad(x.pow(2).sum(), z0, retain_graph=True)
        x = x - 0.01 * grad
    loss = x.pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "two losses over one run": """
for i in range(8):
    x = sample(z0)
    x.pow(2).mean().backward(retain_graph=True)
    x.abs().mean().backward()
    optimizer.step()
""",
    "a penalty on the gradient": """
for i in range(8):
    loss = sample(z0).pow(2).mean()
    grad, = torch.autograd.grad(loss, z0, create_graph=True)
    (loss + grad.pow(2).sum()).backward()
    optimizer.step()
""",
    "numbers that come back": """
best = 1.0
for i in range(12):
    x = sample(z0)
    loss = x.pow(2).mean() * best
    loss.backward()
    optimizer.step()
    best = x.abs().mean().item()
""",
    "turns of another length": """
for i in range(14):
    loss = sample(z0, 2 + i % 4).pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "a detach from turn 10 on": """
for i in range(14):
    x = sample(z0)
    if i >= 9:
        x = x.detach()
    loss = x.pow(2).mean()
    try:
        loss.backward()
    except RuntimeError:
        pass
""",
    "a detach of a branch in one turn": """
for i in range(14):
    x = sample(z0)
    y = sample(z0 * 2.0)
    loss = (x + (y.detach() if i == 9 else y)).pow(2).mean()
    loss.backward()
""",
    "nan from turn 10 on": """
for i in range(14):
    loss = sample(z0).pow(2).mean()
    if i >= 9:
        loss = loss * float("nan")
    loss.backward()
""",
    "nan from turn 10 on that the same ops make": """
scale = 1.0
for i in range(14):
    loss = sample(z0).pow(2).mean() * scale
    if i == 8:
        scale = float("nan")
    loss.backward()
""",
    "a write to what was saved, once": """
for i in range(12):
    x = sample(z0).exp()
    if i == 9:
        x += 1.0
    loss = x.pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "a step before the backward, once": """
for i in range(12):
    loss = (sample(z0) * z0.exp() * z0).pow(2).mean()
    if i == 9:
        optimizer.step()
    loss.backward()
    optimizer.step()
""",
    "a second backward, once": """
for i in range(12):
    loss = sample(z0).pow(2).mean()
    loss.backward()
    if i == 9:
        loss.backward()
    optimizer.step()
""",
}


@pytest.mark.parametrize("carried", CARRIED)
def test_what_is_carried_from_turn_to_turn(carried: str, tmp_path: Path) -> None:
    same(compiled(tmp_path, BEGIN + CARRIED[carried]))


DIFFUSERS = """
import torch
from diffusers import UNet2DModel, {scheduler}
torch.manual_seed(0)
net = UNet2DModel(
    sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4, 8),
    norm_num_groups=2, down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
).requires_grad_(False)
scheduler = {scheduler}(num_train_timesteps=50)
scheduler.set_timesteps(3)
z0 = torch.randn(1, 1, 8, 8, requires_grad=True)
optimizer = torch.optim.Adam([z0], lr=0.01)
for i in range(9):
    {again}
    x = z0 * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x_in = scheduler.scale_model_input(x, t)
        x = scheduler.step(net(x_in, t).sample, t, x).prev_sample
    loss = x.pow(2).mean()
    try:
        loss.backward({keep})
    except RuntimeError:
        pass
    optimizer.step()
"""


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "DPMSolverMultistepScheduler"])
@pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")  # numpy's, of torch
@pytest.mark.parametrize(
    ("again", "keep"),
    [
        ("scheduler.set_timesteps(3)", ""),
        ("scheduler._step_index = None", ""),  # the history of outputs is kept, with its graph
        ("scheduler._step_index = None", "retain_graph=True"),
    ],
)
def test_schedulers_whose_history_lives_on(
    scheduler: str, again: str, keep: str, tmp_path: Path
) -> None:
    text = DIFFUSERS.format(scheduler=scheduler, again=again, keep=keep)
    program = compiled(tmp_path, text)
    program()()  # a library computes something when it is imported
    same(program)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=programs(EVERY), change=st.integers(0, 3))
def test_random_programs_in_a_loop(tmp_path: Path, text: str, change: int) -> None:
    begin, _, body = text.partition("torch.manual_seed(0)\n")
    body = (
        body.replace("\n\n", "\n") + "try:\n    loss.backward()\nexcept RuntimeError:\n    pass\n"
    )
    moves = ("", "with torch.no_grad(): leaf_a.mul_(0.9)", "leaf_b.data -= 0.1", "del loss")
    lines = [f"    {row}" for row in (*body.splitlines(), moves[change])]
    text = "\n".join((begin, f"for turn in range({TURNS}):", *lines))
    same(compiled(tmp_path, text, leaves), ("leaf_a", "leaf_b"))


# Those of whole libraries take a quarter of an hour; the schedulers above stand for them.
OWN = [case for case in judged() if case.program.parent.name in ("rules", "toy12", "kdiff")]
CASES = some(OWN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_that_is_run_again_and_again(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.missing:
        pytest.skip(f"needs {case.missing}")
    monkeypatch.syspath_prepend(str(case.program.parent))
    monkeypatch.setattr(sys, "argv", [str(case.program), *case.args])
    code = compile(case.program.read_text(encoding="utf-8"), str(case.program), "exec")

    def run() -> None:
        for _ in range(4):
            torch.manual_seed(0)
            with contextlib.suppress(Exception, SystemExit):
                exec(code, {"__name__": "__main__", "__file__": str(case.program)})
            torch.set_grad_enabled(True)
            gc.collect(0)

    def program() -> Callable[[], None]:
        for name, module in list(sys.modules.items()):  # what it imports runs again
            if str(getattr(module, "__file__", "")).startswith(str(case.program.parent)):
                monkeypatch.delitem(sys.modules, name)
        return run

    with contextlib.redirect_stdout(io.StringIO()):
        program()()  # a library computes something when it is imported
    same(program)
