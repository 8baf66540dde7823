"""A page of docs/ worked through: its files are written, its commands print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.test_readme import FENCE, commands, matches

NAMED = re.compile(r"# ([\w/]+\.(?:py|toml))$", re.MULTILINE)


def work_through(page: str, folder: Path) -> tuple[list[str], int]:
    """Do in `folder` what the page does, in its order; the files written, and how many commands."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    written, ran = [], 0
    for language, text in FENCE.findall(page):
        named = NAMED.match(text)
        if language in ("python", "toml"):
            assert named is not None
            (folder / named[1]).write_text(text, encoding="utf-8")
            written.append(named[1])
            continue
        for stated in commands(language, text):
            done = subprocess.run(
                stated.line,
                shell=True,
                cwd=folder,
                env={**os.environ, "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == stated.code, f"$ {stated.line}\n{done.stdout}"
            assert matches(stated.output or "", done.stdout), f"$ {stated.line}\n{done.stdout}"
            ran += 1
    return written, ran
