"""`gradprobe trace --stage`: a local variable of an unedited program becomes a hook record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

SAMPLER = """\
class Sampler:
    def _forward_impl(self, input_xT, count):
        x = input_xT
        for i in range(count):
            denoised = 0.7 * x + 0.1
            x = x + 0.25 * (denoised - x)
        return x
"""
RUN = """\
import sys, torch
from package.sampler import Sampler
print(sys.gettrace() is None)
z0 = torch.ones(2, requires_grad=True)
start = 80.0 * z0
loss = Sampler()._forward_impl(start, int(sys.argv[1])).sum()
loss.backward()
"""


@pytest.fixture
def program(here: Path) -> Path:
    (here / "package").mkdir()
    (here / "package" / "sampler.py").write_text(SAMPLER)
    path = here / "run.py"
    path.write_text(RUN)
    return path


STAGES = [
    "--stage",
    "start_state=sampler.py:Sampler._forward_impl:input_xT",
    "--stage",
    "denoised_output=package.sampler:Sampler._forward_impl:denoised",
]


def test_each_assignment_is_a_record(program: Path, process: Run) -> None:
    done = process("trace", "--format", "json", *STAGES, str(program), "3", cwd=program.parent)
    assert (done.returncode, done.stderr) == (0, "False\n")  # the program's own output
    report = json.loads(done.stdout)
    stages = [s for s in report["stages"] if s["name"] in ("start_state", "denoised_output")]
    file = str(program.parent / "package" / "sampler.py")
    assert [(s["name"], s["at"]["file"], s["at"]["line"], s["at"]["col"]) for s in stages] == [
        ("start_state", file, 2, 0),
        *[("denoised_output", file, 5, 12)] * 3,
    ]
    assert [s["grad_fn"] for s in stages] == ["MulBackward0", *["AddBackward0"] * 3]
    assert all(s["connected"] == {"z0": "yes"} and s["shape"] == [2] for s in stages)
    # By hand: a step multiplies by 1 + 0.25 * (0.7 - 1), and the denoised output enters with 0.25.
    step = 1 + 0.25 * (0.7 - 1)
    expected = [step**3, 0.25 * step**2, 0.25 * step, 0.25]
    assert [s["grad"]["abs_max"] for s in stages] == pytest.approx(expected, rel=1e-6)
    assert report["unseen"] == []


def test_a_program_s_own_output_is_the_same_without_selectors(program: Path, process: Run) -> None:
    done = process("trace", "--format", "json", str(program), "3", cwd=program.parent)
    assert (done.returncode, done.stderr) == (0, "True\n")  # no tracer is installed
    assert {s["name"] for s in json.loads(done.stdout)["stages"]} == {"z0", "loss"}


def test_the_text_shows_the_stages_and_names_a_selector_that_matched_nothing(
    program: Path, process: Run
) -> None:
    selector = "start_state=sampler.py:Sampler._forward:input_xT"
    done = process("trace", *STAGES, "--stage", selector, str(program), "2", cwd=program.parent)
    assert done.returncode == 0
    assert done.stdout.count("denoised_output") >= 2
    shown = " ".join(done.stdout.split())
    assert (
        f"stage selector {selector}: no function Sampler._forward in sampler.py; "
        "nearest: Sampler._forward_impl"
    ) in shown


def test_a_malformed_selector_is_refused_before_the_run(program: Path, command: Run) -> None:
    done = command("trace", "--stage", "denoised", str(program), "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gradprobe: stage selector 'denoised' is not NAME=FILE_OR_MODULE:FUNCTION:VARIABLE; "
        "for example denoised=k_diffusion/sampling.py:sample_euler:denoised\n"
    )


def test_a_module_run_as_main_is_named_as_it_was_asked_for(here: Path, process: Run) -> None:
    (here / "demo").mkdir()
    text = SAMPLER + RUN.replace("from package.sampler import Sampler\n", "")
    (here / "demo" / "run.py").write_text(text)
    selector = "denoised=demo.run:Sampler._forward_impl:denoised"
    arguments = ("--format", "json", "--stage", selector, "-m", "demo.run", "3")
    done = process("trace", *arguments, cwd=here)
    report = json.loads(done.stdout)
    assert [s["name"] for s in report["stages"]].count("denoised") == 3
    assert report["unseen"] == []


@pytest.mark.parametrize("tool", ["coverage", "pdb"])
def test_under_a_tool_that_traces_itself(program: Path, process: Run, tool: str) -> None:
    report = program.parent / "report.json"
    trace = ["-m", "gradprobe", "trace", "-o", str(report), *STAGES, str(program), "3"]
    around = {
        "coverage": ["-m", "coverage", "run", "--data-file=.cover", "--include=package/*"],
        "pdb": ["-m", "pdb", "-c", "break package/sampler.py:6", "-c", "continue"],
    }[tool]
    done = subprocess.run(
        [sys.executable, *around, *trace],
        cwd=program.parent,
        input="p 'stopped', i\ncontinue\n" * 3 + "quit\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    names = [stage["name"] for stage in json.loads(report.read_text())["stages"]]
    assert names.count("denoised_output") == 3, done.stderr
    if tool == "coverage":
        shown = subprocess.run(
            [sys.executable, "-m", "coverage", "json", "--data-file=.cover", "-o", "-"],
            cwd=program.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        files = json.loads(shown.stdout)["files"]
        assert files["package/sampler.py"]["executed_lines"] == [1, 2, 3, 4, 5, 6, 7]
    else:
        assert [f"('stopped', {i})" in done.stdout for i in range(3)] == [True] * 3
