"""`gradprobe trace`: the program behaves as alone, and the report comes whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import gradprobe
from gradprobe.cli.running import exit_code
from gradprobe.records.report import Report, Severity, Verdict
from gradprobe.target import Outcome

Run = Callable[..., CompletedProcess[str]]

FLOWS = """
import torch
z0 = torch.ones(2, requires_grad=True)
loss = (0.7 * z0 + 0.1).sum()
loss.backward()
"""
DETACHED = """
import torch
z0 = torch.ones(2, requires_grad=True)
x = 0.7 * z0.detach() + 0.1
loss = x.sum()
loss.backward()
"""
RUN = [sys.executable, "-m", "gradprobe", "trace"]


def plain(*arguments: str) -> CompletedProcess[str]:
    """The program without the probe."""
    line = [sys.executable, *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


# What is asked for wrongly is said before the program runs.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py"], "no such script: missing.py; "),
        (["-m", "absent_module"], "no module named 'absent_module'; "),
        (["-m", "absent_module.inner"], "no module named 'absent_module'; "),
        (["absent_module:run"], "no module named 'absent_module'; "),
        (["noisy.py:absent"], "noisy.py has no 'absent' to call"),
        (["noisy.py:x"], "noisy.py:x is of type int, not a callable"),
        (["bad.py"], "cannot run bad.py:1: SyntaxError: '(' was never closed"),
        (["-o", "graph.gif", "noisy.py"], "unknown format 'graph.gif': choose one of "),
        (["-o", "graph", "noisy.py"], "unknown format 'graph': choose one of "),
        (["-o", "ok.svg", "-o", "no/a.svg", "noisy.py"], "cannot write no/a.svg: there is no "),
        (["-o", "dir.svg", "noisy.py"], "cannot write dir.svg: it is a directory; "),
        (["--format", "gif", "noisy.py"], "unknown format 'gif': choose one of "),
    ],
)
def test_a_wrong_request_is_one_line(
    here: Path, command: Run, arguments: list[str], message: str
) -> None:
    (here / "noisy.py").write_text("x = 1\nif __name__ == '__main__': print('it ran')\n")
    (here / "bad.py").write_text("x = (\n")
    (here / "dir.svg").mkdir()
    done = command("trace", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"gradprobe: {message}")
    assert done.stderr.count("\n") == 1


def test_a_file_that_may_not_be_written_is_refused_at_once(
    here: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "run.py").write_text("print('it ran')\n")
    monkeypatch.setattr(os, "access", lambda *_: False)  # file modes do not bind the superuser
    done = command("trace", "-o", "graph.svg", "run.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gradprobe: cannot write graph.svg: permission denied; choose another path\n"
    )


def test_an_unknown_leaf_is_one_line(here: Path, command: Run) -> None:
    (here / "run.py").write_text(FLOWS)
    done = command("trace", "--leaf", "z1", "run.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gradprobe: no leaf named 'z1' was seen; did you mean ")
    assert "z0" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_of_several_variables_is_told_apart(here: Path, command: Run) -> None:
    (here / "run.py").write_text(
        "import torch\n"
        "def first():\n"
        "    z = torch.ones(2, requires_grad=True)\n"
        "    return z * 2\n"
        "def second():\n"
        "    z = torch.ones(2, requires_grad=True)\n"
        "    return z * 3\n"
        "(first() + second()).sum().backward()\n"
    )
    done = command("trace", "--leaf", "z", "run.py")
    assert done.returncode == 2
    assert "run.py:first:z" in done.stderr
    assert "run.py:second:z" in done.stderr
    assert done.stderr.count("\n") == 1
    assert command("trace", "--leaf", "run.py:second:z", "run.py").returncode == 0


# Exit codes.


def of(report: Report, severity: Severity | None, verdict: Verdict = "flows") -> Report:
    found = () if severity is None else (replace(report.findings[0], severity=severity),)
    return replace(report, findings=found, verdict=verdict)


@pytest.mark.parametrize("found", ["error", "warning", "note", None])
@pytest.mark.parametrize("fail_on", ["error", "warning", "note", "never"])
def test_a_finding_at_or_above_the_threshold_is_1(
    report: Report, found: Severity | None, fail_on: str
) -> None:
    rank = {"error": 3, "warning": 2, "note": 1, None: 0}
    expected = fail_on != "never" and rank[found] >= rank[fail_on]
    seen = of(report, found)
    assert exit_code(Outcome(0), seen, fail_on) == expected
    assert exit_code(Outcome(1, ValueError()), seen, fail_on) == (1 if expected else 3)
    interrupted = Outcome(130, KeyboardInterrupt(), interrupted=True)
    assert exit_code(interrupted, seen, fail_on) == 130
    assert exit_code(Outcome(0), seen, fail_on, unwritten=True) == 2


def test_a_failure_of_autograd_that_no_rule_explains_is_1(report: Report) -> None:
    failed = Outcome(1, RuntimeError())
    assert exit_code(failed, of(report, None, "error"), "error") == 1
    assert exit_code(failed, of(report, None, "no-root"), "error") == 3
    assert exit_code(failed, of(report, None, "error"), "never") == 3


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (FLOWS, 0),
        (DETACHED, 1),  # torch raises, and a finding says why
        (FLOWS + "raise SystemExit(0)", 0),
        (FLOWS + "raise SystemExit(3)", 3),
        (FLOWS + "raise ValueError", 3),
        ("raise SystemExit(3)", 3),
        ("pass", 0),
    ],
)
def test_exit_codes(here: Path, command: Run, program: str, code: int) -> None:
    (here / "run.py").write_text(program)
    assert command("trace", "run.py").returncode == code


def test_never_fails_on_a_program_that_ended_well(here: Path, command: Run) -> None:
    (here / "run.py").write_text(DETACHED.replace("loss.backward()", "loss = loss + z0.sum() * 0"))
    assert command("trace", "--fail-on", "never", "--root", "loss", "run.py").returncode == 0


# What the program sees and what it says.


def test_everything_after_the_target_is_the_programs(here: Path, command: Run) -> None:
    (here / "run.py").write_text("import sys\nprint(sys.argv)\n")
    arguments = ["run.py", "--leaf", "x", "-o", "y", "--help", "--", "-m"]
    shown = command("trace", *arguments).stdout.splitlines()
    assert shown[0] == str(arguments)
    assert command("trace", "--", *arguments).stdout.splitlines()[0] == str(arguments)


def test_an_option_after_m_is_the_modules(here: Path, command: Run) -> None:
    (here / "module_of_ours.py").write_text("import sys\nprint(sys.argv[1:], __name__)\n")
    shown = command("trace", "-m", "module_of_ours", "--leaf", "x").stdout.splitlines()
    assert shown[0] == "['--leaf', 'x'] __main__"


FAILURES = {
    "plain": "def f():\n    raise ValueError('boom')\nf()\n",
    "chained": "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as e:\n"
    "    raise ValueError('boom') from e\n",
    "context": "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError:\n    {}['x']\n",
    "group": "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as e:\n"
    "    raise ExceptionGroup('all', [e, ValueError('x')])\n",
    "import": "import absent_module\n",
    "torch": "import torch\nx = torch.ones(2) + torch.ones(3)\n",
    "method": "import torch\nx = torch.ones(2)\nx.view(3)\n",
    "nested": "import torch\n"
    "from torch.nn import functional as F\nF.layer_norm(torch.ones(2), (3,))\n",
    "backward": "import torch\ntorch.ones(2).sum().backward()\n",
    "message": "import sys\nsys.exit('no such scheduler')\n",
    "hook": "import sys\nsys.excepthook = lambda *e: print('ours', e[0], file=sys.stderr)\n1 / 0\n",
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_shown_as_python_shows_it(here: Path, command: Run, name: str) -> None:
    (here / "fails.py").write_text(FAILURES[name])
    done = command("trace", "fails.py")
    *shown, ours = done.stderr.splitlines()
    assert shown == plain("fails.py").stderr.splitlines()
    ended = "exited with code 1" if name == "message" else "raised "
    assert ours.startswith(f"gradprobe: the program {ended}")
    assert done.returncode in (1, 3)
    assert done.stdout.startswith("\n")


def test_a_broken_hook_does_not_hide_the_failure(here: Path, command: Run) -> None:
    (here / "fails.py").write_text("import sys\nsys.excepthook = None\n1 / 0\n")
    done = command("trace", "fails.py")
    assert done.returncode == 3
    assert "ZeroDivisionError: division by zero" in done.stderr.splitlines()


def test_the_line_for_an_exit_names_its_code(here: Path, command: Run) -> None:
    (here / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    done = command("trace", "leaves.py")
    assert (done.returncode, done.stderr) == (3, "gradprobe: the program exited with code 3\n")


def test_standard_input_and_megabytes_of_output_pass_untouched(here: Path, process: Run) -> None:
    (here / "echo.py").write_text(
        "import sys\n"
        "text = sys.stdin.read()\n"
        "sys.stdout.write(text)\n"
        "sys.stdout.buffer.write(text.encode())\n"
    )
    text = "".join(f"line {i}\n" for i in range(200_000))
    done = process("trace", "echo.py", input=text)
    assert done.returncode == 0
    assert done.stdout.startswith(text + text + "\n")
    assert len(done.stdout) < 2 * len(text) + 4000


def test_a_format_for_programs_has_standard_output_to_itself(here: Path, process: Run) -> None:
    (here / "prints.py").write_text(
        "import os, subprocess, sys\n"
        "print('by print')\n"
        "os.write(1, b'by descriptor\\n')\n"
        "subprocess.run([sys.executable, '-c', 'print(\"by child\")'], check=True)\n"
        "sys.stdout = sys.stderr\n"
    )
    done = process("trace", "--format", "json", "-o", "graph.dot", "prints.py")
    assert json.loads(done.stdout)["verdict"] == "no-root"
    for line in ("by print", "by descriptor", "by child", "wrote graph.dot"):
        assert line in done.stderr.splitlines()


@pytest.mark.parametrize(
    "closing", ["sys.stdout.close()", "sys.stdout = None", "sys.stdout = open('log', 'w')"]
)
def test_the_report_outlives_what_the_program_does_to_its_output(
    here: Path, process: Run, closing: str
) -> None:
    (here / "run.py").write_text(f"import sys\nprint('first')\n{closing}\n")
    done = process("trace", "run.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("first\n\n")
    assert "recorded" in done.stdout


def test_a_forked_child_writes_no_report(here: Path, process: Run) -> None:
    (here / "forks.py").write_text(
        "import os, sys\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(7)\n"
        "print('child exited with', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = process("trace", "-o", "report.json", "forks.py")
    assert done.stdout.splitlines()[0] == "child exited with 7"
    assert done.stdout.count("wrote report.json") == 1
    assert done.returncode == 0


def test_ctrl_c_still_writes_the_report(here: Path) -> None:
    (here / "long.py").write_text(
        FLOWS + "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    line = [*RUN, "-o", "report.json", "long.py"]
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "wrote report.json" in out
    assert "KeyboardInterrupt" in err
    assert str(Path(gradprobe.__file__).parent) not in err
    assert gradprobe.load("report.json").verdict == "flows"


# Files.


def test_every_file_asked_for_is_written_where_it_was_asked(here: Path, command: Run) -> None:
    (here / "elsewhere").mkdir()
    (here / "run.py").write_text("import os\nos.chdir('elsewhere')\n" + DETACHED)
    asked = ["report.json", "graph.svg", "graph.dot", "report.text"]
    done = command("trace", *[part for name in asked for part in ("-o", name)], "run.py")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-4:] == [f"wrote {name}" for name in asked]
    report = gradprobe.load(here / "report.json")
    assert report.environment.command == ("run.py",)
    assert (here / "graph.dot").read_text() == report.render("dot")
    assert "\x1b" not in (here / "report.text").read_text()
    assert list((here / "elsewhere").iterdir()) == []


def test_a_file_that_fails_after_the_run_keeps_no_other(here: Path, command: Run) -> None:
    (here / "gone").mkdir()
    (here / "run.py").write_text(DETACHED.replace("loss.b", "import os; os.rmdir('gone')\nloss.b"))
    done = command("trace", "-o", "gone/a.svg", "-o", "report.json", "run.py")
    assert done.returncode == 2
    assert "GP101" in done.stdout
    assert done.stdout.endswith("wrote report.json\n")
    assert "gradprobe: cannot write gone/a.svg: No such file or directory; " in done.stderr
    assert gradprobe.load("report.json").findings[0].code == "GP101"


def test_raw_draws_the_autograd_graph_as_it_stands(here: Path, command: Run) -> None:
    (here / "run.py").write_text(FLOWS)
    assert command("trace", "--raw", "-o", "raw.svg", "-o", "r.json", "run.py").returncode == 0
    drawn = (here / "raw.svg").read_text()
    assert "SumBackward0" in drawn
    assert "AccumulateGrad" in drawn
    assert command("render", "r.json", "--raw", "-o", "again.svg").returncode == 0
    assert (here / "again.svg").read_text() == drawn
