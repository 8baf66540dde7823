"""Drawn closely: each op, or what each function did, around the first finding; bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradprobe.graph.collapse import picture_of
from gradprobe.records.picture import Depth
from tests.graph.test_collapse import PROGRAMS, view_of
from tests.traced import trace

LONG = """
from torch import nn

class Block(nn.Module):
    def forward(self, x):
        h = x * 1.5
        return x + h.tanh()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = Block(), Block()

    def forward(self, x):
        return self.two(self.one(x) * 0.5)

model = Net()
z0 = torch.ones(4, requires_grad=True)
x = z0 * 5.0
for i in range({steps}):
    denoised = model(x)
    if i == {cut}:
        denoised = denoised.detach()  # <- GP101
    x = x + (denoised - x) * 0.1
loss = x.sum()
loss.backward()
"""


@pytest.mark.parametrize("depth", ["module", "op"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_boxes_stand_in_order_and_once(name: str, depth: Depth, tmp_path: Path) -> None:
    run = trace(tmp_path, PROGRAMS[name])
    picture = picture_of(view_of(run), run.report.findings, depth=depth)
    order = {box.key: i for i, box in enumerate(picture.boxes)}
    assert len(order) == len(picture.boxes)
    assert (picture.boxes[0].kind, picture.boxes[-1].kind) == ("leaf", "root")
    assert all(order[a.tail] < order[a.head] for a in picture.arrows)
    assert picture.depth == depth


def test_every_op_of_a_short_way_is_drawn(tmp_path: Path) -> None:
    run = trace(tmp_path, LONG.format(steps=2, cut=9))
    view = view_of(run)
    picture = picture_of(view, run.report.findings, depth="op")
    assert len(picture.boxes) == len(view.flow.ops) + 2


def test_ops_of_one_function_are_one_box(tmp_path: Path) -> None:
    run = trace(tmp_path, LONG.format(steps=2, cut=9))
    picture = picture_of(view_of(run), run.report.findings, depth="module")
    inside = [(b.label, b.detail) for b in picture.boxes if b.kind == "fold" and b.step == 0]
    # The last op of the second block is the denoised output, which has a box of its own.
    assert inside[:3] == [
        ("Block.forward", "3 ops"),
        ("Net.forward", "self.one(x) * 0.5"),
        ("Block.forward", "2 ops"),
    ]


@pytest.mark.parametrize("depth", ["module", "op"])
@pytest.mark.parametrize("cut", [0, 37, 120])
def test_a_long_run_is_bounded_and_shows_its_break(depth: Depth, cut: int, tmp_path: Path) -> None:
    run = trace(tmp_path, LONG.format(steps=120, cut=cut))
    found = run.report.findings
    picture = picture_of(view_of(run), found, depth=depth)
    assert 100 < len(picture.boxes) <= 300
    around = {box.step for box in picture.boxes if box.kind in ("op", "fold") and box.at}
    if cut < 120:
        (made,) = [box for box in picture.boxes if box.finding == 0]
        assert run.is_at(made.at, "GP101")
        assert {max(cut - 1, 0), cut, cut + 1} <= around
    else:  # without a break, how it ends
        assert 119 in around
