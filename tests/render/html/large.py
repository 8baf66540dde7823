"""The report of a run of 100 000 ops, as large as its bounds let it be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

from gradprobe.records.outline import Block, Line, Outline, Part
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import Counts, Report, Stage, ValueStats
from tests.render.samples import BACKWARD, GRAD, HOME, MADE, STEP, flows, stage

STEPS = 1000
NAMES = ("step_input", "denoised_output", "model_output", "pred_original_sample", "step_output")


@cache
def large() -> Report:
    """A thousand steps of five records each, and a picture of 280 boxes."""
    stages = [record(name, step) for step in range(STEPS) for name in NAMES]
    return replace(
        flows(),
        stages=(stage("z0", None, "yes", GRAD), *stages, stage("loss", None, "yes", shape=())),
        counts=Counts(ops=100 * STEPS, nodes=98_000, edges=120_000, steps=STEPS),
        picture=row(280),
        outline=outline(),
    )


@cache
def large_page() -> str:
    """It as HTML: the same for every test that looks at it."""
    return large().render("html", base=HOME)


def record(name: str, step: int) -> Stage:
    number = NAMES.index(name)
    grad = replace(GRAD, norm=0.1 * (number + 1) / (step + 1))
    value = ValueStats(0.01 * step, 1.0 + number, 3.5 + number + step % 7, 0)
    at = replace(STEP, line=138 + number)
    return stage(name, step, "yes", grad, value=value, at=at)


def row(boxes: int) -> Picture:
    inner = [
        Box(f"s{n}", "stage", f"state {n}", "x + d * dt", "live", STEP, n) for n in range(boxes - 2)
    ]
    root = Box("root", "root", "loss", "loss.backward()", "live", BACKWARD)
    every = [Box("leaf", "leaf", "z0", "f32[1,4,8,8]", "live", MADE), *inner, root]
    arrows = [Arrow(a.key, b.key, "live") for a, b in pairwise(every)]
    return Picture(tuple(every), tuple(arrows))


def outline() -> Outline:
    """Three hundred lines in thirty functions, all run in each step."""
    source = "        hidden = self.norm(self.conv(hidden) + self.shortcut(residual)) * self.scale"
    blocks = tuple(
        Block(
            f"Network{block}.forward",
            block % 7,
            tuple(Line("conv2d", 3, "live", 20 + n, 17, 66, source) for n in range(10)),
        )
        for block in range(30)
    )
    parts = tuple(Part(step, 100, "live", 494_000, 0) for step in range(STEPS))
    files = tuple(f"/home/ada/restore/network{n}.py" for n in range(7))
    return Outline(files, blocks, (tuple(range(30)),), parts)
