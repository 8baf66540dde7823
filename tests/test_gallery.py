"""The gallery shows what its programs do now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradprobe

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(
    path.stem for path in (ROOT / "examples" / "gallery").glob("*.py") if path.stem[0] != "_"
)
GALLERY = ROOT / "docs" / "gallery"


def test_each_program_has_its_picture() -> None:
    drawn = {path.stem.partition("-")[0] for path in GALLERY.glob("*.svg")}
    assert drawn == set(PROGRAMS)
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in page for path in GALLERY.glob("*.svg"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_picture_says_what_a_trace_says(name: str, tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    line = [sys.executable, "-m", "gradprobe", "trace", "--format", "json", "-o", str(saved)]
    program = ROOT / "examples" / "gallery" / f"{name}.py"
    subprocess.run([*line, str(program)], capture_output=True, cwd=ROOT, check=False)
    report = gradprobe.load(saved)
    svg = (GALLERY / f"{name}.svg").read_text(encoding="utf-8")
    drawn = re.search(r"<title>(.*?)</title>", svg, re.DOTALL)
    assert drawn is not None
    told = "run `make gallery`"
    # The size of a gradient may differ in its last digits from one processor to another.
    assert drawn[1].split(":")[0] == report.verdict, told
    (cause,) = {(f.code, Path(f.cause.file).name, f.cause.line) for f in report.findings[:1]}
    assert f"{cause[0]} {cause[1]}:{cause[2]}" in svg, told
    boxes = [box.label for box in report.picture.boxes]
    assert svg.count('class="node"') == len(boxes), told
