"""SVG that is well-formed, says what it shows, and lays nothing over anything."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings

from gradprobe.errors import TooLarge, UsageError
from gradprobe.records.picture import Arrow, Box
from gradprobe.records.report import Report
from gradprobe.render import layout
from gradprobe.render.plain import visible
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.samples import BACKWARD, MADE, SAMPLES, STEP, broken, chain

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def drawn(report: Report, **options: object) -> ET.Element:
    return ET.fromstring(report.render("svg", **options))


def groups(root: ET.Element, kind: str) -> list[ET.Element]:
    return [group for group in root.iter(f"{SVG}g") if group.get("class") == kind]


def extent(group: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box's outline."""
    outlines = [e.get("points") or e.get("d", "") for e in group if e.tag != f"{SVG}text"]
    numbers = [float(n) for n in NUMBER.findall(" ".join(outlines))]
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def long_run(boxes: int) -> Report:
    row = [Box("leaf", "leaf", "z0", "f32[1,4,8,8]", "live", MADE)]
    row += [
        Box(f"s{i}", "op" if i % 3 else "stage", "state", "x + d * dt", "live", STEP, i)
        for i in range(boxes - 2)
    ]
    row.append(Box("root", "root", "loss", "loss.backward()", "live", BACKWARD))
    picture = chain(row, "s2", "GP101 run.py:21")
    skips = tuple(Arrow(f"s{i}", f"s{i + 4}", "partial") for i in range(0, boxes - 8, 5))
    return replace(broken(), picture=replace(picture, arrows=picture.arrows + skips))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_box_and_arrow_is_drawn_and_named(name: str) -> None:
    report = SAMPLES[name]()
    root = drawn(report)
    assert root.get("role") == "img"
    assert root.get("aria-label") == report.headline
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == report.headline
    assert root[1].tag == f"{SVG}desc"
    assert len(groups(root, "node")) == len(report.picture.boxes)
    assert len(groups(root, "edge")) == len(report.picture.arrows)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_same_report_gives_the_same_bytes(name: str) -> None:
    assert SAMPLES[name]().render("svg") == SAMPLES[name]().render("svg")


def test_it_can_stand_in_a_page() -> None:
    text = broken().render("svg")
    assert text.startswith("<svg ")
    assert not re.search(r"<!|<\?|\bid=|<script|xlink", text)


def test_tooltips_hold_the_frames() -> None:
    root = drawn(broken())
    titles = [group.findtext(f"{SVG}title", "") for group in groups(root, "node")]
    assert f"{BACKWARD.place} in main\nloss.backward()" in titles[-1]
    assert any("GP102 grad-mode-off" in g.findtext(f"{SVG}title", "") for g in groups(root, "edge"))


@pytest.mark.parametrize("boxes", [5, 12, 40, 120])
def test_boxes_do_not_overlap_and_stay_on_the_page(boxes: int) -> None:
    root = drawn(long_run(boxes))
    places = [extent(group) for group in groups(root, "node")]
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in combinations(places, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1
    left, top, right, bottom = extent(root[2])
    assert all(left <= a and top <= b and c <= right and d <= bottom for a, b, c, d in places)
    assert right - left < 1600


def test_three_hundred_boxes_take_seconds() -> None:
    started = time.perf_counter()
    root = drawn(long_run(300))
    assert time.perf_counter() - started < 10
    assert len(groups(root, "node")) == 300


@settings(max_examples=40, deadline=None)
@given(hostile_reports())
def test_any_strings_give_well_formed_svg(report: Report) -> None:
    root = drawn(report)
    assert root[0].text == (visible(report.headline) or None)
    assert len(groups(root, "node")) == len(report.picture.boxes)
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize("text", SNIPPETS[:9])
def test_short_strings_are_drawn_as_they_are(text: str) -> None:
    box = Box("a", "op", "title", text, "live")
    report = replace(broken(), picture=replace(broken().picture, boxes=(box,), arrows=()))
    words = "".join(e.text or "" for e in groups(drawn(report), "node")[0].iter(f"{SVG}text"))
    assert "".join(visible(text).split()) in "".join(words.split())


AUTOGRAD = """digraph {
	node [shape=box]
	1 [label="AddBackward0"]
	2 [label="z0\\n (1, 4)"]
	2 -> 1
}
"""


def test_the_raw_graph_is_drawn_as_it_stands() -> None:
    root = drawn(replace(broken(), autograd_dot=AUTOGRAD), raw=True)
    assert len(groups(root, "node")) == 2
    assert root[0].text == broken().headline


def test_the_raw_graph_must_exist_and_be_small() -> None:
    with pytest.raises(UsageError, match="holds no autograd graph"):
        broken().render("svg", raw=True)
    nodes = "".join(f'\t{i} [label="AddBackward0"]\n' for i in range(900))
    with pytest.raises(TooLarge, match="has 900 nodes, dot can lay out 600"):
        replace(broken(), autograd_dot=f"digraph {{\n{nodes}}}\n").render("svg", raw=True)


def shared_leaf(steps: int) -> str:
    """A chain whose every second node takes the same leaf: a parameter used at each step."""
    lines = [f'{i} [label="MulBackward0"]\n{i} -> {i + 1}' for i in range(2 * steps)]
    lines += [f"w -> {i}" for i in range(0, 2 * steps, 2)]
    return "digraph {\n" + "\n".join(lines) + '\nw [label="w"]\n}\n'


def test_a_leaf_shared_by_too_many_steps_is_refused_at_once() -> None:
    report = replace(broken(), autograd_dot=shared_leaf(280))
    started = time.perf_counter()
    with pytest.raises(TooLarge, match="561 nodes, and leaves shared by so many"):
        report.render("svg", raw=True)
    assert time.perf_counter() - started < 2
    few = replace(broken(), autograd_dot=shared_leaf(30))
    assert len(groups(drawn(few, raw=True), "node")) == 62


def test_an_engine_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of pure, dot"):
        broken().render("svg", engine="neato")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="dot is not on PATH"):
        broken().render("svg", engine="dot")
    assert drawn(broken()).get("role") == "img"  # the bundled engine needs no PATH


def test_the_system_engine_draws_the_same_boxes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "dot").symlink_to(layout._pure_program())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert broken().render("svg", engine="dot") == broken().render("svg")


def test_what_dot_refuses_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        layout.lay_out("digraph { a -> ", "pure")
    assert "syntax error" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rendering_imports_no_torch(tmp_path: Path) -> None:
    saved = broken().save(tmp_path / "report.json")
    code = (
        "import sys, gradprobe\n"
        "report = gradprobe.load(sys.argv[1])\n"
        "print(*(bool(report.render(name)) for name in ('text', 'json', 'dot', 'svg')))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout.split() == ["True"] * 4 + ["False"]
