"""A run of 100 000 ops is drawn as quickly and as small as a short one."""

from __future__ import annotations

import re
import resource
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gradprobe.records.picture import Depth
from gradprobe.records.report import Report
from tests.traced import trace

BOXES = 300
PROGRAM = """
import torch
from torch import nn

class Denoiser(nn.Module):
    def forward(self, x):
        h = x
        for _ in range(45):
            h = h * 0.9
            h = h + 0.1
        return h

model = Denoiser()
z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
for i in range(1100):
    denoised = model(x)
    if i % 90 == 37:
        denoised = denoised.detach()  # <- GP101
    d = (denoised - x) / 2.0
    noise = torch.randn(4)
    x = x + d * 0.1
    x = x + noise * 0.01
    shown = x.mean() * 1.0
loss = x.square().mean()
loss.backward()
"""


def cpu() -> float:
    """Seconds of CPU that this process and those that it waited for took."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Report:
    run = trace(tmp_path_factory.mktemp("large"), PROGRAM)
    assert run.report.counts.ops > 100_000
    assert run.is_at(run.first.at, "GP101")
    return run.report


@pytest.mark.parametrize("depth", ["auto", "step", "stage"])
def test_the_picture_is_bounded(large: Report, depth: Depth) -> None:
    began = cpu()
    svg = large.render("svg", depth=depth)
    assert cpu() - began < 5.0
    assert len(svg.encode()) < 500_000
    root = ET.fromstring(svg)
    boxes = [g for g in root.iter() if g.get("class") == "node"]
    assert 4 <= len(boxes) < BOXES
    _, _, width, _ = (float(n) for n in root.get("viewBox", "").split())
    assert width < 2_000
    assert re.search(r"GP101 program_\d+\.py:\d+", svg)


@pytest.mark.parametrize("depth", ["module", "op"])
def test_so_is_one_that_was_asked_for_closely(depth: Depth, tmp_path: Path) -> None:
    program = PROGRAM.replace("range(1100)", "range(200)")
    run = trace(tmp_path, program, terms={"depth": depth})
    began = cpu()
    svg = run.report.render("svg", depth=depth)
    assert cpu() - began < 5.0
    assert len(svg.encode()) < 500_000
    assert 100 < len(run.report.picture.boxes) < BOXES
