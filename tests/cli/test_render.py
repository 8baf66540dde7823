"""A saved report is drawn again as it was drawn at first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from gradprobe.records.report import Report
from gradprobe.registry import renderers

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def saved(here: Path, report: Report) -> Report:
    report.save("report.json")
    return report


@pytest.mark.parametrize("format", ["text", "txt", "json", "csv", "dot", "svg"])
def test_every_format_is_what_the_report_renders_to(
    saved: Report, here: Path, command: Run, format: str
) -> None:
    printed = command("render", "report.json", "--format", format)
    assert (printed.returncode, printed.stderr) == (0, "")
    expected = saved.render(format, **({"base": str(here)} if format in ("text", "txt") else {}))
    assert printed.stdout.rstrip("\n") == expected.rstrip("\n")
    written = command("render", "report.json", "-o", f"again.{format}")
    assert (written.returncode, written.stdout) == (0, f"wrote again.{format}\n")
    assert (here / f"again.{format}").read_bytes().decode() == expected


@pytest.mark.parametrize("name", ["trace", "render"])
def test_the_help_lists_the_formats_there_are(command: Run, name: str) -> None:
    shown = " ".join(command(name, "--help").stdout.split())
    assert f"Format on standard output: {', '.join(sorted(renderers))} [default: text" in shown


def test_text_is_the_default(saved: Report, command: Run) -> None:
    done = command("render", "report.json")
    assert done.returncode == 0
    assert saved.headline in done.stdout.splitlines()[0]


def test_names_of_files_stay_out_of_a_format_for_programs(saved: Report, command: Run) -> None:
    done = command("render", "report.json", "--format", "json", "-o", "graph.dot", "-o", "a.svg")
    assert json.loads(done.stdout)["verdict"] == "broken"
    assert done.stderr == "wrote graph.dot\nwrote a.svg\n"


@pytest.mark.parametrize(
    ("when", "environment", "colored"),
    [("always", "", True), ("always", "1", True), ("auto", "", False), ("never", "", False)],
)
def test_color_is_asked_for(
    saved: Report,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    environment: str,
    colored: bool,
) -> None:
    monkeypatch.setenv("NO_COLOR", environment)
    assert ("\x1b[" in command("render", "report.json", "--color", when).stdout) is colored


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"], "cannot read missing.json: No such file or directory"),
        (["not.json"], "cannot read not.json: "),
        (["other.json"], "cannot read other.json: "),
        (["report.json", "-o", "graph.gif"], "unknown format 'graph.gif': choose one of "),
        (["report.json", "-o", "graph"], "unknown format 'graph': choose one of "),
        (
            ["report.json", "-o", "no/graph.svg"],
            "cannot write no/graph.svg: there is no ",
        ),
        (["report.json", "-o", "dir.svg"], "cannot write dir.svg: it is a directory; "),
        (["report.json", "--format", "gif"], "unknown format 'gif': choose one of "),
        (["report.json", "--raw", "-o", "graph.svg"], "this report holds no autograd graph"),
    ],
)
def test_bad_input_is_one_line(
    saved: Report, here: Path, command: Run, arguments: list[str], message: str
) -> None:
    (here / "not.json").write_text("<html>")
    (here / "other.json").write_text('{"schema": "something/1"}')
    (here / "dir.svg").mkdir()
    done = command("render", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradprobe: {message}")
    assert done.stderr.count("\n") == 1


def test_the_systems_dot_is_missed_before_anything_is_written(
    saved: Report, here: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(here))
    done = command("render", "report.json", "--engine", "dot", "-o", "a.dot", "-o", "graph.svg")
    assert done.returncode == 2
    assert done.stderr.startswith("gradprobe: no 'dot' is on the PATH: ")
    assert not (here / "a.dot").exists()


def test_a_file_that_fails_keeps_no_other(saved: Report, here: Path, command: Run) -> None:
    (here / "full.svg").symlink_to("/dev/full")
    done = command("render", "report.json", "-o", "full.svg", "-o", "graph.dot")
    assert (done.returncode, done.stdout) == (2, "wrote graph.dot\n")
    assert done.stderr == (
        "gradprobe: cannot write full.svg: No space left on device; choose another path\n"
    )


def test_the_picture_is_drawn_from_further_away(saved: Report, command: Run) -> None:
    for depth in ("stage", "step"):
        done = command("render", "report.json", "--format", "dot", "--depth", depth)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.rstrip("\n") == saved.render("dot", depth=depth).rstrip("\n")


def test_the_picture_is_drawn_around_one_finding(saved: Report, command: Run) -> None:
    done = command("render", "report.json", "--format", "dot", "--focus", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip("\n") == saved.render("dot", focus="1").rstrip("\n")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--depth", "op"), "shows no single ops: trace again with --depth op"),
        (("--focus", "GP305"), "no finding has the code 'GP305'"),
    ],
)
def test_what_the_picture_does_not_show_is_refused_in_one_line(
    saved: Report, here: Path, command: Run, asked: tuple[str, str], told: str
) -> None:
    done = command("render", "report.json", "-o", "a.svg", *asked)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (here / "a.svg").exists()


def test_an_image_goes_to_a_file_or_to_a_pipe(saved: Report, here: Path, command: Run) -> None:
    assert command("render", "report.json", "-o", "graph.png").returncode == 0
    image = (here / "graph.png").read_bytes()
    assert image == saved.encoded("png")
    arguments = [sys.executable, "-m", "gradprobe", "render", "report.json", "--format", "png"]
    done = subprocess.run(arguments, capture_output=True, cwd=here)
    assert (done.returncode, done.stdout) == (0, image)
