"""A picture from further away: the same ways, with steps or stretches of steps for boxes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gradprobe.errors import UsageError
from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.records.report import Report
from gradprobe.render.zoom import Drawn, zoomed
from gradprobe.render.zoom.grain import at_depth
from tests.render.samples import SAMPLES, broken


def box(key: str, step: int | None, state: State, **more: object) -> Box:
    return Box(key, "stage", key.rpartition("_")[2], "", state, None, step, **more)  # type: ignore[arg-type]


def chain(*boxes: Box) -> Picture:
    arrows = tuple(
        Arrow(a.key, b.key, "cut" if b.state == "cut" else a.state) for a, b in pairwise(boxes)
    )
    return Picture(boxes, arrows)


RUN = chain(
    Box("leaf", "leaf", "z0", "4", "live"),
    box("0_input", 0, "live"),
    box("0_denoised", 0, "live", norm=2.0),
    Box("fold", "fold", "steps 1-3", "3 steps", "live", None, 1, norm=1.0, last_step=3),
    box("4_input", 4, "live"),
    box("4_denoised", 4, "cut", finding=0),
    box("5_input", 5, "lost"),
    box("5_denoised", 5, "lost"),
    Box("root", "root", "loss", "backward", "lost"),
)
FINDINGS = broken().findings


def told(picture: Picture) -> list[tuple[str, str, State]]:
    return [(b.label, b.detail, b.state) for b in picture.boxes]


def test_each_step_is_a_box_and_a_fold_stays() -> None:
    steps = at_depth(RUN, "step", FINDINGS)
    assert told(steps) == [
        ("z0", "4", "live"),
        ("step 0", "input, denoised", "live"),
        ("steps 1-3", "3 steps", "live"),
        ("step 4", "GP102 sampling.py:116", "cut"),
        ("step 5", "input, denoised", "lost"),
        ("loss", "backward", "lost"),
    ]
    assert [(a.tail, a.state) for a in steps.arrows] == [
        ("leaf", "live"),
        ("step:0_input", "live"),
        ("fold", "live"),
        ("step:4_input", "cut"),
        ("step:5_input", "lost"),
    ]
    assert steps.boxes[3].finding == 0


def test_the_stages_of_a_run_are_its_stretches() -> None:
    stages = at_depth(RUN, "stage", FINDINGS)
    assert told(stages) == [
        ("z0", "4", "live"),
        ("steps 0-3", "4 steps", "live"),
        ("step 4", "GP102 sampling.py:116", "cut"),
        ("step 5", "input, denoised", "lost"),
        ("loss", "backward", "lost"),
    ]
    assert (stages.boxes[1].step, stages.boxes[1].last_step, stages.boxes[1].norm) == (0, 3, 1.0)


def test_two_arrows_that_fall_together_are_live_only_if_both_are() -> None:
    skips = (Arrow("0_input", "5_input", "live"), Arrow("0_denoised", "5_input", "lost"))
    steps = at_depth(Picture(RUN.boxes, skips), "step", FINDINGS)
    assert steps.arrows == (Arrow("step:0_input", "step:5_input", "partial"),)


def test_a_step_that_loses_one_of_two_ways_passes_a_part() -> None:
    """With the cut on an arrow between two stages, as where a line does it again."""
    boxes = (
        Box("leaf", "leaf", "z0", "4", "live"),
        box("0_input", 0, "live"),
        box("0_denoised", 0, "live"),
        box("1_input", 1, "live"),
        Box("root", "root", "loss", "backward", "live"),
    )
    live = tuple(Arrow(a.key, b.key, "live") for a, b in pairwise(boxes) if b.label != "denoised")
    cut = Arrow("0_input", "0_denoised", "cut", "GP102 sampling.py:116", 0)
    steps = at_depth(Picture(boxes, (*live, cut)), "step", FINDINGS)
    assert told(steps)[1:3] == [
        ("step 0", "GP102 sampling.py:116", "partial"),
        ("input", "", "live"),
    ]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("depth", ["stage", "step"])
def test_nothing_is_added_and_no_finding_is_lost(name: str, depth: Drawn) -> None:
    report: Report = SAMPLES[name]()
    picture = zoomed(report, depth, None).picture
    assert len(picture.boxes) <= len(report.picture.boxes)
    keys = [b.key for b in picture.boxes]
    assert len(set(keys)) == len(keys)
    assert all(a.tail in keys and a.head in keys and a.tail != a.head for a in picture.arrows)
    assert [b for b in picture.boxes if b.kind in ("leaf", "root")] == [
        b for b in report.picture.boxes if b.kind in ("leaf", "root")
    ]

    def made(drawn: Picture) -> set[int | None]:
        return {each.finding for each in (*drawn.boxes, *drawn.arrows)} - {None}

    assert made(picture) == made(report.picture)


def test_what_the_picture_does_not_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="shows no single ops: trace again with --depth op"):
        at_depth(RUN, "op", FINDINGS)
    assert at_depth(Picture(RUN.boxes, RUN.arrows, "op"), "op", FINDINGS).boxes == RUN.boxes
    with pytest.raises(UsageError, match="unknown depth 'leaf': choose one of auto, stage"):
        at_depth(RUN, "leaf", FINDINGS)  # type: ignore[arg-type]
