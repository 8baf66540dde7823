"""A program that dies of autograd's error: its traceback as Python shows it, then why."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

OVERWRITTEN = """
import torch
z0 = torch.ones(4, requires_grad=True)
h = z0.exp()
h += 1
h.sum().backward()
"""
NON_LEAF = """
import torch
z0 = torch.ones(4, requires_grad=True).double()
torch.optim.Adam([z0])
"""
OWN_HOOK = """
import torch
def check(g):
    raise RuntimeError("not mine")
z0 = torch.ones(4, requires_grad=True)
x = z0 * 2
x.register_hook(check)
x.sum().backward()
"""
PLACE = "gradprobe: GP201 saved-tensor-overwritten at run.py:5:1: "


def alone(path: str) -> str:
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.parametrize(
    "options", [["--format", "json"], ["-o", "report.json", "--format", "csv"]]
)
def test_one_line_after_the_traceback_says_why(
    here: Path, process: Run, options: list[str]
) -> None:
    (here / "run.py").write_text(OVERWRITTEN)
    done = process("trace", *options, "run.py")
    assert done.returncode == 1
    expected = alone("run.py")
    assert done.stderr.startswith(expected)
    lines = [t for t in done.stderr[len(expected) :].splitlines() if not t.startswith("wrote ")]
    assert lines[0].startswith(PLACE)
    assert lines[1:] == ["gradprobe: the program raised RuntimeError"]
    assert "\x1b" not in done.stderr


def test_the_text_report_follows_the_traceback_and_says_it_once(here: Path, process: Run) -> None:
    (here / "run.py").write_text(OVERWRITTEN)
    done = process("trace", "run.py")
    assert done.returncode == 1
    assert done.stderr == alone("run.py") + "gradprobe: the program raised RuntimeError\n"
    assert "GP201 saved-tensor-overwritten  error, proven" in done.stdout


def on_terminal(*arguments: str) -> str:
    """What a person at a terminal reads on standard error; standard output goes to a file."""
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "gradprobe", "trace", *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    with open("out.txt", "w") as out:
        child = subprocess.Popen(line, stdout=out, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            piece = b""
        if not piece:
            break
        seen += piece
    os.close(ours)
    child.wait()
    return seen.decode()


@pytest.mark.parametrize("options", [(), ("--format", "json")])
def test_on_a_terminal_the_line_is_coloured(here: Path, options: tuple[str, ...]) -> None:
    (here / "run.py").write_text(OVERWRITTEN)
    assert f"\x1b[31m\x1b[1m{PLACE}" in on_terminal(*options, "run.py")
    plain = on_terminal(*options, "--color", "never", "run.py")
    assert PLACE in plain
    assert "\x1b" not in plain


def test_a_tensor_that_is_no_leaf_in_an_optimizer_is_a_finding(here: Path, command: Run) -> None:
    (here / "run.py").write_text(NON_LEAF)
    done = command("trace", "--format", "json", "run.py")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    first = report["findings"][0]
    assert (report["verdict"], first["code"], first["at"]["line"]) == ("error", "GP110", 3)
    assert "gradprobe: GP110 leaf-replaced at run.py:3:6: " in done.stderr


def test_what_a_hook_of_the_program_raises_is_its_own_failure(here: Path, command: Run) -> None:
    (here / "run.py").write_text(OWN_HOOK)
    done = command("trace", "--format", "json", "run.py")
    assert done.returncode == 3
    assert json.loads(done.stdout)["findings"] == []
    assert done.stderr.endswith("gradprobe: the program raised RuntimeError\n")
    assert "gradprobe: GP" not in done.stderr
