"""The command line as a whole: what it loads, what it says, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess

import click
import pytest

import gradprobe
from gradprobe import cli
from gradprobe.cli import COMMANDS, main
from gradprobe.records.report import Report

Run = Callable[..., CompletedProcess[str]]

LIGHT = "import sys; from gradprobe.cli import main; code = main(); print('torch' in sys.modules)"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        *[[name, "--help"] for name in COMMANDS],
        ["render", "report.json", "-o", "graph.svg", "-o", "graph.dot", "--format", "text"],
        ["explain"],
        ["explain", "GP102"],
        ["schema"],
        ["trace", "missing.py"],
        ["trace", "--allow", "GP101:steps.py:f", "--stage", "a=b.py:f:x", "missing.py"],
        ["trace", "--config", "absent.toml", "run.py"],
        ["trace", "-o", "graph.gif", "run.py"],
        [],
    ],
    ids=" ".join,
)
def test_only_a_program_to_run_needs_torch(
    here: Path, report: Report, arguments: list[str]
) -> None:
    report.save("report.json")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_version_names_what_matters(command: Run) -> None:
    done = command("--version")
    python = ".".join(map(str, sys.version_info[:3]))
    ours, torch = gradprobe.__version__, version("torch")
    assert done.stdout == f"gradprobe {ours} (torch {torch}, Python {python})\n"
    assert done.returncode == 0


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_shows_an_example_within_80_columns(command: Run, name: str | None) -> None:
    done = command(*([name] if name else []), "--help")
    assert done.returncode == 0
    examples = done.stdout.partition("Example")[2]
    assert f"  gradprobe {name or 'trace'}" in examples
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_no_command_shows_the_help(command: Run) -> None:
    done = command()
    assert done.returncode == 2
    assert all(name in done.stderr for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paint"], "no such command 'paint'"),
        (["trace"], "missing argument 'TARGET [ARGS]...'; see gradprobe trace --help"),
        (["trace", "--leef", "z0", "run.py"], "no such option '--leef'"),
        (["trace", "--fail-on", "x", "run.py"], "invalid value for '--fail-on': 'x' is not one of"),
        (["selftest", "--lang", "fr"], "invalid value for '--lang': 'fr' is not one of"),
        (["render"], "missing argument 'REPORT.json'; see gradprobe render --help"),
    ],
)
def test_a_wrong_request_is_one_line(command: Run, arguments: list[str], message: str) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradprobe: {message}")
    assert done.stderr.count("\n") == 1


def test_our_own_fault_is_one_line_and_a_code_of_its_own(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: click.Command("x", callback=broken))
    done = command("x")
    assert done.returncode == 70
    assert done.stderr.startswith(
        "gradprobe: internal error: RuntimeError: two lines (test_main.py:"
    )
    assert done.stderr.count("\n") == 1
    monkeypatch.setenv("GRADPROBE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="two"):
        main(["x"])


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "gradprobe", "schema"]
    done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gradprobe trace --stages ", {"auto", "declared", "none"}),
        ("gradprobe trace --fail-on n", {"note", "never"}),
        ("gradprobe trace --conf", {"--config"}),
        ("gradprobe re", {"render"}),
    ],
)
def test_a_shell_completes(line: str, offered: set[str]) -> None:
    words = line.split(" ")
    asked = {
        "_GRADPROBE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "gradprobe"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {entry.partition(",")[2] for entry in done.stdout.splitlines()} == offered
