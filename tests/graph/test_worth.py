"""A picture tells a gradient that is zero or not finite from one that is lost, and a sound one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprobe.records.picture import Picture
from tests.traced import trace

PROGRAM = """
import torch
import gradprobe
z0 = torch.ones(4, requires_grad=True)
x = gradprobe.tap("start_state", z0 * 2.0)
x = gradprobe.tap("before", x + 1.0)
x = gradprobe.tap("after", {line})
loss = (x + {beside}).sum()
loss.backward()
"""


def states(folder: Path, line: str, beside: str = "0.0") -> tuple[dict[str, str], Picture]:
    picture = trace(folder, PROGRAM.format(line=line, beside=beside)).report.picture
    return {box.label: box.state for box in picture.boxes}, picture


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("x * 3.0", "live"),
        ("x * 0.0", "zero"),
        ("x.round()", "zero"),
        ("(x - 3.0).sqrt()", "nonfinite"),
        ("x * float('nan')", "nonfinite"),
    ],
)
def test_what_comes_before_the_op_has_its_state(line: str, state: str, tmp_path: Path) -> None:
    found, picture = states(tmp_path, line)
    assert [found[name] for name in ("z0", "start_state", "before")] == [state] * 3
    assert (found["after"], found["loss"]) == ("live", "live")
    key = {box.key: box.label for box in picture.boxes}
    back = {key[arrow.tail]: arrow.state for arrow in picture.arrows}
    assert back["z0"] == back["start_state"] == state
    assert back["after"] == "live"


def test_a_sound_way_beside_it_makes_the_leaf_live(tmp_path: Path) -> None:
    found, _ = states(tmp_path, "x * 0.0", beside="z0")
    assert (found["z0"], found["start_state"], found["before"]) == ("live", "zero", "zero")


@pytest.mark.parametrize(
    ("line", "state"), [("x.clamp(100.0, 101.0)", "zero"), ("(x - 3.0).sqrt()", "nonfinite")]
)
def test_the_op_that_made_it_so_is_drawn_with_its_finding(
    line: str, state: str, tmp_path: Path
) -> None:
    run = trace(tmp_path, PROGRAM.format(line=line, beside="0.0"), numerics="nodes")
    picture = run.report.picture
    (made,) = [box for box in picture.boxes if box.finding is not None]
    assert (made.label, made.state, made.finding) == ("after", state, 0)
    (into,) = [arrow for arrow in picture.arrows if arrow.head == made.key]
    assert (into.state, into.finding, into.label.split()[0]) == (
        state,
        0,
        run.report.findings[0].code,
    )
    (out_of,) = [arrow for arrow in picture.arrows if arrow.tail == made.key]
    assert (out_of.state, out_of.label) == ("live", "")


def test_an_op_whose_gradient_was_not_measured_is_as_what_it_is_handed_to(tmp_path: Path) -> None:
    line = "((x * 2.0) + 1.0).clamp(100.0, 101.0)"
    run = trace(tmp_path, PROGRAM.format(line=line, beside="0.0"), numerics="nodes")
    ops = [box for box in run.report.picture.boxes if box.kind == "op"]
    assert [(box.label, box.state, box.norm) for box in ops] == [
        ("mul", "zero", None),
        ("add", "zero", None),
        ("add", "live", None),  # these come after it
        ("sum", "live", None),
    ]


def test_norms_are_those_of_the_gradients(tmp_path: Path) -> None:
    found, picture = states(tmp_path, "x * 3.0")
    norms = {box.label: box.norm for box in picture.boxes if box.norm is not None}
    assert norms == {"z0": 12.0, "start_state": 6.0, "before": 6.0, "after": 2.0}
    assert set(found) - set(norms) <= {"loss"}


OVERWRITTEN = """
import torch
import gradprobe
z0 = torch.ones(4, requires_grad=True)
x = gradprobe.tap("start_state", z0 * 2.0)
for step in range(3):
    x = torch.tanh(x / 3)  # <- saved
    if step == 1:
        x *= 3  # <- written
loss = x.sum()
loss.backward()
"""


def test_where_backward_raised_is_drawn_as_a_cut(tmp_path: Path) -> None:
    run = trace(tmp_path, OVERWRITTEN)
    picture = run.report.picture
    (made,) = [box for box in picture.boxes if box.finding is not None]
    assert (made.label, made.state) == ("tanh", "cut")
    assert run.is_at(made.at, "saved")
    (into,) = [arrow for arrow in picture.arrows if arrow.head == made.key]
    line = run.line("written")
    assert (into.state, into.label) == ("cut", f"GP201 {run.path.name}:{line}")
    assert picture.boxes[0].state == "lost", "nothing arrives at the leaf"
    assert [box.state for box in picture.boxes if box.label == "mul_"] == ["live"]
