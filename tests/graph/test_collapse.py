"""Pictures of real runs: bounded, in order, and true of every value that an arrow stands for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from gradprobe.diagnose.views import views_of
from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.plan import plan_of
from gradprobe.graph.view import View
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.render.thin import thinned
from tests.traced import Traced, trace

DENOISER = """
from torch import nn

class Denoiser(nn.Module):
    def forward(self, x):
        return 0.7 * x.tanh() + 0.1

model = Denoiser()
z0 = torch.randn(4, requires_grad=True)
"""
LOOP = (
    DENOISER
    + """
x = z0 * 5.0
for i in range({steps}):
    denoised = model(x)
    {edit}
    x = x + (denoised - x) * 0.1
loss = x.pow(2).mean()
loss.backward()
"""
)
HEUN = (
    DENOISER
    + """
x = z0 * 5.0
for i in range(3):
    d = model(x) - x
    d_2 = model(x + d * 0.1) - x
    x = x + (d + d_2) * 0.05
x.sum().backward()
"""
)
SCALED = (
    DENOISER
    + """
x = z0 * 5.0
for i in range(3):
    scaled = torch.cat([x * 0.5] * 2)
    one, other = model(scaled).chunk(2)
    x = x + (one + 2.0 * (other - one.detach())) * 0.1  # <- GP101
x.sum().backward()
"""
)
DECORATED = (
    DENOISER
    + """
@torch.no_grad()  # <- opens
def sample(x):
    for i in range(3):
        x = x + (model(x) - x) * 0.1
    return x

x = sample(z0 * 5.0)
loss = x.sum()
loss.backward()
"""
)
BRANCH = (
    DENOISER
    + """
x = z0 * 5.0
for i in range(3):
    with torch.no_grad():
        plain = model(x)
    x = x + (model(x) + plain - x) * 0.1
x.sum().backward()
"""
)
FUNCTION = (
    DENOISER
    + """
class Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, grad):
        return grad, None

x = z0 * 5.0
for i in range(3):
    x = Mix.apply(x, model(x))
x.sum().backward()
"""
)
HOST = (
    DENOISER
    + """
x = z0 * 5.0
for i in range(3):
    x = x + model(torch.from_numpy(x.detach().numpy() * 2.0)) * 0.1
x.sum().backward()
"""
)
UNUSED = (
    DENOISER
    + """
x = torch.randn(4) * 5.0
for i in range(3):
    x = x + (model(x) - x) * 0.1
loss = x.sum()
loss.backward()
"""
)
RUNGE_KUTTA = (
    DENOISER
    + """
x = z0 * 5.0
for i in range(3):
    k_1 = model(x)
    k_2 = model(x - k_1 * 0.1)
    k_3 = model(x - k_2 * 0.1)
    k_4 = model(x - k_3 * 0.2)
    x = x - (k_1 + 2.0 * k_2 + 2.0 * k_3 + k_4) * 0.03
x.sum().backward()
"""
)
ADAPTIVE = """
from torchdiffeq import odeint

z0 = torch.randn(4, requires_grad=True)
times = torch.tensor([0.0, 1.0])
odeint(lambda t, x: 0.1 - x, z0 * 5.0, times, method="dopri5")[-1].sum().backward()
"""
PROGRAMS = {
    "healthy": LOOP.format(steps=4, edit=""),
    "detached": LOOP.format(steps=4, edit="denoised = denoised.detach()"),
    "cut": LOOP.format(steps=4, edit="x = x.detach(); denoised = denoised.detach()"),
    "long": LOOP.format(steps=30, edit="denoised = denoised.detach() if i == 9 else denoised"),
    "heun": HEUN,
    "runge-kutta": RUNGE_KUTTA,
    "scaled": SCALED,
    "decorated": DECORATED,
    "branch": BRANCH,
    "function": FUNCTION,
    "host": HOST,
}


def view_of(run: Traced) -> View:
    views = [view for views in views_of(dataflow(run.trace)) for view in views]
    return next(view for view in views if view.leaf.name == "z0")


def steps_drawn(picture: Picture) -> Iterator[int]:
    """The step of every denoiser output that has a box of its own, and all steps of the folds."""
    for box in picture.boxes:
        if box.kind == "fold":
            first, last = (int(n) for n in re.findall(r"\d+", box.label))
            assert box.detail.startswith(f"{last - first + 1} steps")
            yield from range(first, last + 1)
        elif box.label == "denoised_output":
            assert box.step is not None
            yield box.step


def boxed(picture: Picture, label: str) -> set[int | None]:
    return {box.step for box in picture.boxes if box.label == label}


def ways(run: Traced) -> dict[tuple[str, str], set[int]]:
    """For each two boxes, every value on a way between them that passes no third box."""
    view = view_of(run)
    key_of = plan_of(view, run.report.findings).key_of
    producer, between = view.data.producer, view.flow.between
    found: dict[tuple[str, str], set[int]] = {}

    @cache
    def back(value: int) -> dict[str, frozenset[int]]:
        """The boxes that a value comes from, each with all values on the way from there."""
        op = producer[value]
        returned = view.data.suspected.get(value)
        if value in view.leaf.values:
            return {"leaf": frozenset({value})}
        if returned is None and op in key_of:
            return {key_of[op]: frozenset({value})}
        if returned is not None:
            sources = {view.trace.exits[returned.exit].value}
        else:
            sources = set(view.data.inputs(op)) & between
        merged: dict[str, frozenset[int]] = {}
        for source in sources:
            for tail, values in back(source).items():
                merged[tail] = merged.get(tail, frozenset({value})) | values
        return merged

    ends = [(key, value) for op, key in key_of.items() for value in view.data.inputs(op)]
    ends += [("root", root) for root in view.flow.roots]
    for head, value in ends:
        for tail, values in back(value).items() if value in between else ():
            if tail != head:
                found.setdefault((tail, head), set()).update(values)
    return found


@pytest.fixture(params=PROGRAMS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Traced:
    return trace(tmp_path, PROGRAMS[request.param])


def test_arrows_lead_between_the_boxes_whose_values_meet(run: Traced) -> None:
    drawn = {(a.tail, a.head) for a in run.report.picture.arrows}
    assert drawn == set(ways(run))


def test_an_arrow_is_live_only_if_all_its_values_are(run: Traced) -> None:
    view = view_of(run)
    passing = ways(run)
    for arrow in run.report.picture.arrows:
        if arrow.state == "live":
            assert passing[arrow.tail, arrow.head] <= view.flow.connected


def test_an_arrow_from_which_no_value_is_live_is_lost(run: Traced) -> None:
    view = view_of(run)
    for ends, values in ways(run).items():
        (arrow,) = [a for a in run.report.picture.arrows if (a.tail, a.head) == ends]
        if not values & view.flow.connected:
            assert arrow.state == "lost"


def test_boxes_stand_in_order_and_once(run: Traced) -> None:
    picture = run.report.picture
    order = {box.key: i for i, box in enumerate(picture.boxes)}
    assert len(order) == len(picture.boxes)
    assert picture.boxes[0].kind == "leaf"
    assert picture.boxes[-1].kind == "root"
    assert all(order[a.tail] < order[a.head] for a in picture.arrows)


def test_every_finding_that_cuts_a_way_stands_on_an_arrow(run: Traced) -> None:
    view = view_of(run)
    told = {a.finding for a in thinned(run.report.picture) if a.state in ("cut", "partial")}
    if view.breaks:
        assert told >= set(range(len(run.report.findings)))
    else:
        assert told <= {None}


def test_a_healthy_run_is_one_chain(tmp_path: Path) -> None:
    run = trace(tmp_path, PROGRAMS["healthy"])
    picture = run.report.picture
    labels = [(box.label, box.step) for box in picture.boxes]
    steps = [(label, k) for k in range(4) for label in ("step_input", "denoised_output")]
    steps[0] = ("start_state", None)
    assert labels == [("z0", None), *steps, ("final_output", None), ("loss", None)]
    keys = [box.key for box in picture.boxes]
    assert thinned(picture) == tuple(Arrow(tail, head, "live") for tail, head in pairwise(keys))


@pytest.mark.parametrize("step", [0, 1, 37, 48, 49])
def test_steps_far_from_a_cut_fold(step: int, tmp_path: Path) -> None:
    edit = f"denoised = denoised.detach() if i == {step} else denoised"
    picture = trace(tmp_path, LOOP.format(steps=50, edit=edit)).report.picture
    near = {k for k in (0, step - 1, step, step + 1, 49) if 0 <= k < 50}
    assert boxed(picture, "denoised_output") >= near
    assert boxed(picture, "step_input") >= near - {0}
    assert boxed(picture, "start_state") == {None}
    assert Counter(steps_drawn(picture)) == Counter(range(50))
    assert all(box.state == "live" for box in picture.boxes if box.kind == "fold")
    assert len(picture.boxes) < 25


@pytest.mark.parametrize(
    "edit",
    ["", "denoised = denoised.detach()", "denoised = denoised.detach() if i > 999 else denoised"],
)
def test_any_long_run_is_bounded(edit: str, tmp_path: Path) -> None:
    picture = trace(tmp_path, LOOP.format(steps=2000, edit=edit)).report.picture
    assert len(picture.boxes) <= 300
    assert len(thinned(picture)) <= 600
    assert Counter(steps_drawn(picture)) == Counter(range(2000))
    assert boxed(picture, "denoised_output") >= {0, 1999}


def test_a_few_steps_of_many_stages_fold_too(tmp_path: Path) -> None:
    edit = "import gradprobe\n    "
    edit += "; ".join(f"denoised = gradprobe.tap('mark {n}', denoised * 1.0)" for n in range(8))
    picture = trace(tmp_path, LOOP.format(steps=5, edit=edit)).report.picture
    folds = [(box.label, box.detail) for box in picture.boxes if box.kind == "fold"]
    assert folds == [("steps 1-3", "3 steps, healthy")]
    assert boxed(picture, "denoised_output") == {0, 4}


def test_steps_past_a_total_break_are_one_box(tmp_path: Path) -> None:
    edit = "x = x.detach(); denoised = denoised.detach()"
    picture = trace(tmp_path, LOOP.format(steps=6, edit=edit)).report.picture
    (fold,) = [box for box in picture.boxes if box.kind == "fold"]
    assert (fold.label, fold.detail, fold.state) == ("steps 1-5", "5 steps", "lost")
    assert boxed(picture, "denoised_output") == {0}


def test_a_stage_that_is_the_cut_itself_keeps_its_name(tmp_path: Path) -> None:
    edit = "import gradprobe; denoised = gradprobe.tap('spoilt', denoised.detach())"
    picture = trace(tmp_path, LOOP.format(steps=2, edit=edit)).report.picture
    (cut, *_) = [box for box in picture.boxes if box.state == "cut"]
    assert (cut.kind, cut.label, cut.detail) == ("stage", "spoilt", "denoised.detach()")


def test_many_marked_stages_are_bounded(tmp_path: Path) -> None:
    edit = "import gradprobe; denoised = gradprobe.tap(f'mark {i}', denoised * 1.0)"
    picture = trace(tmp_path, LOOP.format(steps=600, edit=edit)).report.picture
    assert len(picture.boxes) <= 300
    assert {"mark 0", "mark 599"} <= {box.label for box in picture.boxes}


def test_the_step_input_is_the_state_that_the_sampler_goes_on_with(tmp_path: Path) -> None:
    run = trace(tmp_path, SCALED)
    names = ("start_state", "step_input")
    inputs = [box for box in run.report.picture.boxes if box.label in names]
    assert [box.step for box in inputs] == [None, 1, 2]
    texts = [box.at.expression for box in inputs if box.at is not None]
    assert texts[0] == "z0 * 5.0"
    assert all(text.startswith("x + (one") for text in texts[1:])


TAPPED = (
    DENOISER
    + """
import gradprobe

x = gradprobe.tap("start_state", z0 * 5.0)
for i in range(3):
    x = gradprobe.tap("step_input", x + 0.0, step=i)
    denoised = gradprobe.tap("denoised_output", model(x) * 1.0, step=i)
    x = gradprobe.tap("step_output", x + (denoised - x) * 0.1, step=i)
gradprobe.tap("final_output", x)
x.sum().backward()
"""
)


def test_what_is_marked_replaces_what_the_calls_show(tmp_path: Path) -> None:
    picture = trace(tmp_path, TAPPED).report.picture
    counts = Counter(box.label for box in picture.boxes)
    assert counts == {
        "z0": 1,
        "start_state": 1,
        "step_input": 3,
        "denoised_output": 3,
        "step_output": 2,  # the third is the final output
        "final_output": 1,
        "x.sum()": 1,
    }
    by_name = Counter(stage.name for stage in trace(tmp_path, TAPPED).report.stages)
    assert by_name["denoised_output"] >= 3
    assert set(counts) <= set(by_name)


def test_an_arrow_names_the_line_that_is_to_blame(tmp_path: Path) -> None:
    run = trace(tmp_path, DECORATED)
    picture = run.report.picture
    cuts = [arrow for arrow in thinned(picture) if arrow.state == "cut"]
    assert {arrow.label for arrow in cuts} == {f"GP102 {run.path.name}:{run.line('opens')}"}
    assert {arrow.finding for arrow in cuts} == {0}
    (lost,) = [box for box in picture.boxes if box.state == "cut"]
    assert lost.at == run.first.at


def test_both_ends_of_a_total_break_are_lost(tmp_path: Path) -> None:
    picture = trace(tmp_path, DECORATED).report.picture
    assert (picture.boxes[0].state, picture.boxes[-1].state) == ("lost", "lost")


def test_two_calls_of_a_step_are_told_apart(tmp_path: Path) -> None:
    picture = trace(tmp_path, HEUN).report.picture
    details = [box.detail for box in picture.boxes if box.label == "denoised_output"]
    assert details == [f"step {k}, call {n}" for k in range(3) for n in (0, 1)]


def test_calls_of_a_step_are_told_apart_where_they_are_marked_too(tmp_path: Path) -> None:
    marked = HEUN.replace("model(x", "tap('denoised_output', model(x").replace(") - x", ")) - x")
    text = marked.replace("x = z0", "from gradprobe import tap\n\nx = z0", 1)
    picture = trace(tmp_path, text).report.picture
    details = [box.detail for box in picture.boxes if box.label == "denoised_output"]
    assert details == [f"step {k}, call {n}" for k in range(3) for n in (0, 1)]


def test_an_unused_leaf_stands_beside_what_is_used_in_its_place(tmp_path: Path) -> None:
    leaf, instead, root = trace(tmp_path, UNUSED).report.picture.boxes
    assert (leaf.label, leaf.state) == ("z0", "cut")
    assert (instead.kind, instead.detail) == ("source", "torch.randn(4)")
    assert root.label == "loss"
    picture = trace(tmp_path, UNUSED).report.picture
    assert picture.arrows == (Arrow("source", "root", "unknown"),)


def test_what_a_solver_means_to_cut_is_not_drawn(tmp_path: Path) -> None:
    run = trace(tmp_path, ADAPTIVE)
    assert [finding.severity for finding in run.report.findings] == ["note"]
    picture = run.report.picture
    assert {box.state for box in picture.boxes} == {"live"}
    assert {arrow.state for arrow in picture.arrows} == {"live"}


def test_many_calls_of_a_step_share_a_box(tmp_path: Path) -> None:
    picture = trace(tmp_path, RUNGE_KUTTA).report.picture
    details = [box.detail for box in picture.boxes if box.label == "denoised_output"]
    assert details == [f"step {k}, 4 calls" for k in range(3)]


def test_without_a_leaf_there_is_no_picture(tmp_path: Path) -> None:
    run = trace(tmp_path, "torch.ones(3).sum()")
    assert run.report.picture == Picture()


def test_a_box_of_an_op_quotes_its_own_line(tmp_path: Path) -> None:
    run = trace(tmp_path, SCALED)
    (cut,) = [box for box in run.report.picture.boxes if box.state == "cut"]
    assert isinstance(cut, Box)
    assert (cut.label, cut.detail) == ("detach", "one.detach()")
    assert run.is_at(cut.at, "GP101")
