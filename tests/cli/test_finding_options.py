"""What becomes of findings on the command line: accepted, chosen, written as a baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Run = Callable[..., CompletedProcess[str]]

PROGRAM = """\
import torch

torch.manual_seed(1)
net = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)


def guided(x, t):
    conditional = net(x)
    plain = net(0.5 * x)
    plain = plain.detach()
    return plain + 2.0 * (conditional - plain)


def sample(x):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(3)
    for t in scheduler.timesteps:
        x = scheduler.step(guided(x, t), t, x).prev_sample
    return x


z0 = torch.randn(1, 3, 4, 4, requires_grad=True)
image = sample(z0)
loss = image.square().mean()
loss.backward()
"""
MEANT = "    plain = plain.detach()"
NEW = "        x = x + (9 * x).round()\n    return x\n"
TRACE = ("trace", "--fail-on", "warning")


@pytest.fixture
def program(here: Path) -> Path:
    path = here / "run.py"
    path.write_text(PROGRAM)
    return path


def report(done: CompletedProcess[str]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def shown(done: CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())


def unbroken(text: str) -> str:
    """Without blanks: a path that is wider than the page is broken anywhere."""
    return "".join(text.split())


def test_what_a_comment_accepts_is_a_note(program: Path, command: Run) -> None:
    program.write_text(PROGRAM.replace(MEANT, f"{MEANT}  # gradprobe: allow GP101 -- as in EDM"))
    done = command(*TRACE, "run.py")
    assert done.returncode == 0
    assert shown(done).startswith("partial: ")
    assert (
        "note GP101 detached warning, proven, allowed by a comment: as in EDM --> run.py:10:13"
        in (shown(done))
    )
    program.write_text(program.read_text().replace("    return x\n", NEW))
    again = command(*TRACE, "run.py")
    assert again.returncode == 1
    assert "; GP301 flat-op at run.py:21: " in shown(again)
    assert shown(again).index("GP301 flat-op warning") < shown(again).index("note GP101 detached")


def test_a_comment_that_is_wrong_is_told(program: Path, command: Run) -> None:
    program.write_text(PROGRAM.replace(MEANT, f"{MEANT}  # gradprobe: alow GP101"))
    done = command(*TRACE, "run.py")
    assert done.returncode == 1
    said = f"{program}:10: a comment is not understood; write # gradprobe: allow GP101 -- "
    assert unbroken(said) in unbroken(done.stdout)


def test_a_baseline_is_written_and_holds_until_something_new(program: Path, command: Run) -> None:
    written = command(*TRACE, "--write-baseline", "known.json", "run.py")
    assert written.returncode == 0
    assert written.stdout.endswith("wrote 1 finding to known.json\n")
    assert "GP101 detached warning, proven leaf z0" in shown(written)
    first = (program.parent / "known.json").read_bytes()

    done = command(*TRACE, "--baseline", "known.json", "run.py")
    assert done.returncode == 0
    assert "note GP101 detached warning, proven, allowed by the baseline" in shown(done)
    assert "not seen" not in done.stdout

    moved = PROGRAM.replace("def guided", "# a line that moves the others\n\n\ndef guided")
    program.write_text(moved.replace("    return x\n", NEW))
    new = command(*TRACE, "--baseline", "known.json", "--format", "json", "run.py")
    assert new.returncode == 1
    findings = [f for f in report(new)["findings"] if f["severity"] != "note"]
    assert [(f["code"], f["at"]["line"], f["allowed_by"]) for f in findings] == [
        ("GP301", 24, None),
        ("GP101", 13, "baseline"),
    ]

    program.write_text(moved)
    assert command(*TRACE, "--write-baseline", "known.json", "run.py").returncode == 0
    assert (program.parent / "known.json").read_bytes() == first

    program.write_text(PROGRAM.replace(MEANT, "    plain = 1.0 * plain"))
    healed = command(*TRACE, "--baseline", "known.json", "run.py")
    assert healed.returncode == 0
    said = "known.json: 1 of 1 matches no finding of this run (GP101 in run.py:guided); if fixed, "
    assert unbroken(said) in unbroken(healed.stdout)


def test_the_project_s_baseline(program: Path, command: Run) -> None:
    config = program.parent / "pyproject.toml"
    config.write_text('[tool.gradprobe]\nfail-on = "warning"\nbaseline = "known.json"\n')
    missing = command("trace", "run.py")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.endswith("known.json: No such file or directory\n")
    written = command("trace", "--write-baseline", "known.json", "--format", "json", "run.py")
    assert written.returncode == 0
    assert report(written)["verdict"] == "partial"
    assert written.stderr.endswith("wrote 1 finding to known.json\n")
    assert command("trace", "run.py").returncode == 0
    assert command("trace", "--no-config", "--fail-on", "warning", "run.py").returncode == 1


def test_the_program_s_own_failure_is_no_success(program: Path, command: Run) -> None:
    program.write_text(PROGRAM + "raise SystemExit(4)\n")
    done = command(*TRACE, "--write-baseline", "known.json", "run.py")
    assert done.returncode == 3
    assert "wrote 1 finding to known.json" in done.stdout


def test_what_is_not_asked_for_does_not_fail_and_is_counted(program: Path, command: Run) -> None:
    program.write_text(PROGRAM.replace("    return x\n", NEW))
    both = report(command(*TRACE, "--format", "json", "run.py"))
    for arguments, code, left in (
        (["--select", "GP3"], 1, "GP101"),
        (["--ignore", "gp101"], 1, "GP101"),
        (["--ignore", "GP1,GP3"], 0, "GP101 GP301"),
        (["--select", "GP2", "--select", "GP4"], 0, "GP101 GP301"),
        (["--ignore", "GP", "--select", "GP301"], 1, "GP101"),
    ):
        done = command(*TRACE, "--format", "json", *arguments, "run.py")
        assert done.returncode == code
        found = report(done)
        assert found["verdict"] == both["verdict"]
        assert found["leaves"] == both["leaves"]
        assert [
            one["code"] for one in found["left_out"] if one["severity"] != "note"
        ] == left.split()
        assert any(" left out, as asked (select, ignore): " in said for said in found["unseen"])
        assert not set(left.split()) & {f["code"] for f in found["findings"]}


def test_the_second_run_has_the_same_terms(here: Path, command: Run) -> None:
    (here / "run.py").write_text(
        "import torch\n"
        "z0 = torch.ones(2, requires_grad=True)\n"
        "loss = (0.0 * z0).sum()  # gradprobe: allow GP304 -- a start\n"
        "loss.backward()\n"
    )
    done = command("trace", "--fail-on", "note", "--format", "json", "run.py")
    [found] = report(done)["findings"]
    assert (found["code"], found["reason"], done.returncode) == ("GP304", "a start", 0)
    left = command("trace", "--fail-on", "note", "--format", "json", "--ignore", "GP3", "run.py")
    assert (report(left)["findings"], left.returncode) == ([], 0)
    assert report(left)["left_out"] == [{"code": "GP304", "severity": "error", "count": 1}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--baseline", "absent.json"], "cannot read absent.json: No such file or directory"),
        (["--baseline", "run.py"], "cannot read run.py: it is not JSON ("),
        (["--baseline", "other.json"], "cannot read other.json: it is no baseline: its schema is "),
        (
            ["--write-baseline", "no/known.json"],
            "cannot write no/known.json: there is no directory",
        ),
        (["--write-baseline", "."], "cannot write .: it is a directory; "),
        (
            ["--baseline", "a.json", "--write-baseline", "b.json"],
            "--baseline and --write-baseline exclude each other: ",
        ),
        (["--select", "GP9"], "no code begins with 'GP9'; did you mean GP1, GP2, GP3, GP4?"),
        (["--ignore", "GP1,GP310"], "no code begins with 'GP310'; did you mean GP30"),
    ],
)
def test_what_is_wrong_is_one_line_before_the_program_runs(
    here: Path, command: Run, arguments: list[str], message: str
) -> None:
    (here / "run.py").write_text("print('it ran')\n")
    (here / "other.json").write_text('{"schema": "gradprobe.report/1"}')
    done = command("trace", *arguments, "run.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradprobe: {message}")
    assert done.stderr.count("\n") == 1
