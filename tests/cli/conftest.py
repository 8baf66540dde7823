"""Programs to trace, the command in this process and as a process, and a report to draw."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradprobe.cli import main
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import (
    SCHEMA,
    Complete,
    Cost,
    Counts,
    Environment,
    Finding,
    Layer,
    Layers,
    Leaf,
    Report,
)
from gradprobe.records.source import Frame

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process: quick, and everything but signals and buffers is the same."""

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a program may set its own

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run


@pytest.fixture
def process() -> Run:
    """The command as a process of its own."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "gradprobe", *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, **options)

    return run


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """A report with one error, that no program needs to run for."""
    frame = Frame(str(tmp_path / "run.py"), 3, 3, 4, 14, "sample", "x = z0.detach()")
    layers = Layers(
        Layer("no", "no autograd path leads from z0 to loss"),
        Complete("no", "no denoiser call carries gradient", 0, 4),
        Layer("unknown", "there is no gradient to look at"),
    )
    return Report(
        environment=Environment("0.1.0", "2.13.0", "3.11.7", (), ("run.py",)),
        verdict="broken",
        headline="The gradient of z0 is lost at run.py:3:5.",
        leaves=(Leaf("z0", frame, (1, 2), "float32", "cpu", True, "broken", layers, None),),
        root=None,
        stages=(),
        findings=(
            Finding(
                code="GP101",
                name="detached",
                severity="error",
                certainty="proven",
                leaf="z0",
                at=frame,
                message="z0.detach() cuts the gradient",
                fix="leave out .detach()",
            ),
        ),
        counts=Counts(ops=4),
        unseen=(),
        cost=Cost(800, 0.1, 0.01),
        picture=Picture(
            (
                Box("a", "leaf", "z0", "z0", "live", frame),
                Box("b", "root", "loss", "loss", "lost", frame),
            ),
            (Arrow("a", "b", "cut", f"GP101 {SCHEMA}", 0),),
        ),
    )
