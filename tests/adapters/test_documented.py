"""The adapter of docs/adapters.md, as a package of its own that is installed beside gradprobe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from gradprobe.adapters import files, packages
from tests.fresh_environment import ROOT

PAGE = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _install(folder: Path) -> None:
    """Lay out the page's files, and its entry points as an installer writes them."""
    for text in (text for language, text in BLOCKS if language == "python"):
        named = re.match(r"# (\w+\.py)\n", text)
        assert named is not None
        (folder / named[1]).write_text(text, encoding="utf-8")
    [table] = [tomllib.loads(text) for language, text in BLOCKS if language == "toml"]
    info = folder / "mini_diffusion-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mini-diffusion\nVersion: 1\n")
    lines = []
    for group, points in table["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def test_an_adapter_of_another_package_is_found_and_tells_what_the_page_says(
    tmp_path: Path,
) -> None:
    _install(tmp_path)
    [session] = [text for language, text in BLOCKS if language == "console"]
    command, _, stated = session.partition("\n")
    assert command == "$ python run.py"
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == stated


def test_the_page_lists_every_adapter() -> None:
    rows = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE))
    assert set(packages) <= rows
    named = set(re.findall(r"`([\w*]+\.py)`", PAGE))
    missing = [file for file in files if not any(Path(file).match(name) for name in named)]
    assert missing == []
