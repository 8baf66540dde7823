"""Settings of a project, and the options of `gradprobe trace` that go over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., CompletedProcess[str]]

# The rounded way is lost, the other carries gradient: a warning, and the verdict `partial`.
PARTIAL = """\
import torch
print("it ran")

def sample(x, model):
    for _ in range(2):
        denoised = model(x)
        x = x + 0.5 * (denoised - x)
    return x

z0 = torch.ones(2, requires_grad=True)
x = sample(3.0 * z0, torch.nn.Tanh())
loss = (x + x.round()).sum()
loss.backward()
"""


@pytest.fixture
def program(here: Path) -> Path:
    path = here / "run.py"
    path.write_text(PARTIAL)
    return path


def settings(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.gradprobe]\n{text}\n")


def report(done: CompletedProcess[str]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def declared(done: CompletedProcess[str]) -> list[str]:
    names = ("denoised", "state", "result")
    return [s["name"] for s in report(done)["stages"] if s["name"] in names]


def test_the_file_has_the_defaults_and_the_command_line_wins(program: Path, command: Run) -> None:
    assert command("trace", "run.py").returncode == 0
    settings(program.parent, 'fail-on = "warning"')
    assert command("trace", "run.py").returncode == 1
    assert command("trace", "--fail-on", "error", "run.py").returncode == 0
    assert command("trace", "--no-config", "run.py").returncode == 0
    (program.parent / "other.toml").write_text('[tool.gradprobe]\nfail-on = "never"\n')
    assert command("trace", "--config", "other.toml", "run.py").returncode == 0


def test_the_file_is_looked_for_from_the_current_directory_upwards(
    program: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(program.parent, 'fail-on = "warning"')
    (program.parent / "below").mkdir()
    (program.parent / "below" / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(program.parent / "below")
    assert command("trace", "../run.py").returncode == 1


def test_leaves_and_root_come_from_the_file(program: Path, command: Run) -> None:
    settings(program.parent, 'leaves = ["x"]\nroot = "loss"')
    seen = report(command("trace", "--format", "json", "run.py"))
    assert [leaf["name"] for leaf in seen["leaves"]] == ["x"]
    assert (seen["root"]["name"], seen["root"]["how"]) == ("loss", "named")
    seen = report(command("trace", "--format", "json", "--leaf", "z0", "run.py"))
    assert [leaf["name"] for leaf in seen["leaves"]] == ["z0"]


def test_stages_of_the_file_and_of_the_command_line_add_up(program: Path, command: Run) -> None:
    settings(
        program.parent, 'stages = {denoised = "run.py:sample:denoised", state = "run.py:sample:x"}'
    )
    ask = ("trace", "--format", "json")
    assert declared(command(*ask, "run.py")) == ["state", *["denoised", "state"] * 2]
    more = ("--stage", "result=run.py:<module>:x", "--stage", "state=run.py:<module>:loss")
    assert declared(command(*ask, *more, "run.py")) == ["denoised", "denoised", "result", "state"]


def test_stages_can_be_left_out(program: Path, command: Run) -> None:
    settings(program.parent, 'stages = {denoised = "run.py:sample:denoised"}')
    ask = ("trace", "--format", "json", "--stages")
    none = report(command(*ask, "none", "run.py"))
    assert [stage["name"] for stage in none["stages"]] == ["z0", "loss"]
    assert none["unseen"] == []
    named = report(command(*ask, "declared", "run.py"))
    assert [s["name"] for s in named["stages"]] == ["z0", "denoised", "denoised", "loss"]
    settings(program.parent, 'find-stages = "none"')
    assert report(command("trace", "--format", "json", "run.py"))["stages"] == none["stages"]


def test_what_is_allowed_is_shown_and_does_not_count(program: Path, command: Run) -> None:
    settings(program.parent, 'fail-on = "note"\nallow = ["GP301:run.py:<module>"]')
    done = command("trace", "-o", "report.json", "run.py")
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "; GP301 flat-op (allowed) at run.py:12: " in shown
    assert "GP301 flat-op warning, proven, allowed" in shown
    [finding] = json.loads((program.parent / "report.json").read_text())["findings"]
    assert (finding["code"], finding["allowed"]) == ("GP301", True)
    again = command("trace", "--no-config", "--fail-on", "note", "--allow", "GP301", "run.py")
    assert again.returncode == 0


def test_what_is_allowed_and_not_there_is_told(program: Path, command: Run) -> None:
    settings(program.parent, 'allow = ["GP107", "GP301:other.py"]')
    done = command("trace", "--fail-on", "warning", "--allow", "GP301:run.py:f", "run.py")
    assert done.returncode == 1
    for entry in ("GP107", "GP301:other.py", "GP301:run.py:f"):
        assert f"allow entry {entry}: no such finding in this run" in done.stdout


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("leafs = []", [], "pyproject.toml: unknown key 'leafs' in [tool.gradprobe]; did you mean"),
        ('stages = {a = "b"}', [], "pyproject.toml: tool.gradprobe.stages: stage selector 'a=b' "),
        ("x = [", [], "pyproject.toml: it is not TOML ("),
        ("", ["--config", "absent.toml"], "absent.toml: No such file or directory"),
        ("", ["--config", "run.py"], "run.py: it is not TOML ("),
        ("", ["--config", "a", "--no-config"], "--config and --no-config exclude each other: "),
        ("", ["--allow", "GP1"], "no rule named 'GP1' was seen; did you mean "),
        ("", ["--allow", "GP101:a.py:3"], "allow entry 'GP101:a.py:3' names a line, and lines "),
        ("", ["--stages", "all"], "invalid value for '--stages': 'all' is not one of "),
        ("leafs = []", ["--stage", "a"], "pyproject.toml: unknown key 'leafs' "),
    ],
)
def test_what_is_wrong_is_one_line_before_the_program_runs(
    program: Path, command: Run, text: str, arguments: list[str], message: str
) -> None:
    settings(program.parent, text)
    done = command("trace", *arguments, "run.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradprobe: {message}")
    assert done.stderr.count("\n") == 1


def test_settings_that_are_wrong_can_be_left_aside(program: Path, command: Run) -> None:
    settings(program.parent, "x = [")
    assert command("trace", "--no-config", "run.py").returncode == 0
