"""The picture around one finding: what is near stays, the rest is told by its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradprobe.errors import UsageError
from gradprobe.records.picture import Picture
from gradprobe.records.report import Report
from gradprobe.render.zoom.focus import focused
from tests.render.samples import broken
from tests.render.zoom.test_grain import Arrow, Box, box, chain


def long(cut_at: int) -> Report:
    """Twenty steps of one box each, the first finding of `broken` in one of them."""
    steps = [
        box(f"{n}_state", n, "live" if n < cut_at else "lost" if n > cut_at else "cut")
        for n in range(20)
    ]
    steps[cut_at] = replace(steps[cut_at], finding=0)
    picture = chain(
        Box("leaf", "leaf", "z0", "", "live"), *steps, Box("root", "root", "loss", "", "lost")
    )
    return replace(broken(), picture=picture)


def labels(picture: Picture) -> list[str]:
    return [b.label if b.kind != "stage" else f"{b.step}" for b in picture.boxes]


@pytest.mark.parametrize("target", ["GP102", "gp102", "1"])
def test_what_is_near_stays_as_it_is(target: str) -> None:
    report = long(10)
    near = focused(report, target)
    assert labels(near.picture) == [
        "z0",
        "steps 0-6",
        *["7", "8", "9", "10", "11", "12", "13"],
        "steps 14-19",
        "loss",
    ]
    kept = [b for b in near.picture.boxes if b.kind == "stage"]
    assert kept == [b for b in report.picture.boxes if b.step in range(7, 14)]
    finding = report.findings[0]
    assert near.headline == f"GP102 {finding.name} at sampling.py:116: {finding.message}"
    assert {b.detail for b in near.picture.boxes if b.kind == "fold"} == {"not shown here"}


def test_the_ways_through_the_rest_stay() -> None:
    picture = focused(long(10), "1").picture
    arrows = [(a.tail, a.head, a.state) for a in picture.arrows]
    assert arrows[:2] == [("leaf", "rest:0_state", "live"), ("rest:0_state", "7_state", "live")]
    assert arrows[-1] == ("rest:14_state", "root", "lost")


def test_near_is_meant_along_the_drawn_arrows() -> None:
    """A state that feeds every later step is not near to all of them."""
    report = long(10)
    skips = tuple(Arrow(f"{a}_state", f"{b}_state", "live") for a in range(9) for b in range(a, 9))
    picture = replace(report.picture, arrows=report.picture.arrows + skips)
    assert "3" not in labels(focused(replace(report, picture=picture), "1").picture)


def test_one_box_alone_is_not_put_into_another() -> None:
    assert labels(focused(long(4), "1").picture)[:3] == ["z0", "0", "1"]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("GP305", r"no finding has the code 'GP305': the report has GP102"),
        ("7", r"there is no finding 7: the report has 1"),
        ("0", r"there is no finding 0: the report has 1"),
        ("", r"no finding has the code ''"),
        ("\u0663", r"no finding has the code"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(target: str, told: str) -> None:
    report = replace(long(10), findings=broken().findings[:1])
    with pytest.raises(UsageError, match=told):
        focused(report, target)


def test_a_finding_that_is_not_drawn_is_refused_with_those_that_are() -> None:
    report = replace(long(10), findings=(broken().findings[0],) * 2)
    with pytest.raises(
        UsageError, match=r"does not show finding 2 \(GP102\): it shows 1 \(GP102\)"
    ):
        focused(report, "2")
    bare = replace(report, picture=chain(Box("leaf", "leaf", "z0", "", "live")))
    with pytest.raises(UsageError, match=r"finding 1 \(GP102\): it shows none"):
        focused(bare, "1")
