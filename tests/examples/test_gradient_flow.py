"""The copyable script and its shell script, run as a reader would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "gradient_flow.py"
BOTH = ROOT / "examples" / "run_gradient_test.sh"
SAMPLER = ROOT / "gradprobe" / "selftest" / "res_sampler.py"

PASSED = "PASSED: the gradient reaches z0.\n"
FAILED = "4. FAILED: no gradient at z0\n"

Z0_MADE = (SCRIPT, "z0 = torch.randn(")
Z0_TRACKS = (SCRIPT, "z0.requires_grad_()")
CALLER_OFF = (SCRIPT, "with torch.set_grad_enabled(")
START_MADE = (SAMPLER, "config.sigma_max * start")
NO_GRAD = (SAMPLER, "torch.no_grad()")
FRESH_NOISE = (SAMPLER, "return torch.randn(")

EXPECTED = {
    "a": ("GP102", START_MADE, NO_GRAD),
    "b": ("GP108", Z0_MADE, None),
    "c": ("GP102", START_MADE, CALLER_OFF),
    "d": ("GP109", Z0_TRACKS, FRESH_NOISE),
    "e": ("GP109", Z0_TRACKS, FRESH_NOISE),
}


def place(file: Path, source: str) -> tuple[str, int]:
    lines = file.read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines, start=1) if source in line)
    return str(file), number


def execute(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("BREAK", "LEARNABLE_STEP_NOISE")}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": path, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def diagnosis() -> str:
    """What is printed, from the root of the repository, of the break that the guides show."""
    command = (sys.executable, "-m", "gradprobe", "trace", "--leaf", "z0", SCRIPT)
    return execute(*command, BREAK="a").stdout


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"loss (\d+\.\d+)", output)]


def test_script_is_short_enough_to_copy() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) < 60


def test_shell_script_runs_both_modes() -> None:
    done = execute("bash", BOTH)
    assert (done.returncode, done.stderr) == (0, "")
    for line in ("== step noise off", "== step noise derived from z0"):
        assert line in done.stdout
    assert done.stdout.count(PASSED) == 2
    assert re.findall(r"^(\d)\. ", done.stdout, re.M) == list("12345") * 2
    quiet, noisy = losses(done.stdout)
    assert quiet != noisy


def test_shell_script_stops_at_the_first_mode_that_fails() -> None:
    done = execute("bash", BOTH, BREAK="a")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith(FAILED)
    assert "derived from z0" not in done.stdout


def traced(report: Path, **environment: str) -> tuple[str, int, dict[str, Any]]:
    """What the traced script printed, the exit code, and the report."""
    options = ("--leaf", "z0", "-o", report)
    done = execute(sys.executable, "-m", "gradprobe", "trace", *options, SCRIPT, **environment)
    return done.stdout, done.returncode, json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("guide", ["gradient-flow.md", "gradient-flow.zh.md"])
def test_diagnosis_shown_in_the_guide_is_the_one_printed(guide: str, diagnosis: str) -> None:
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- diagnosis of: BREAK=a -->\n```text\n(.*?)```\n", text, re.S)
    assert shown in diagnosis


@pytest.mark.parametrize("step_noise", ["0", "1"])
def test_traced_script_flows(step_noise: str, tmp_path: Path) -> None:
    said, code, report = traced(tmp_path / "report.json", LEARNABLE_STEP_NOISE=step_noise)
    assert PASSED in said
    assert (code, report["verdict"]) == (0, "flows")
    assert not [f for f in report["findings"] if f["severity"] != "note"]
    stages = {stage["name"] for stage in report["stages"]}
    assert {"start_state", "denoised_output", "final_output"} <= stages
    assert ("step_noise" in stages) == (step_noise == "1")


@pytest.mark.parametrize("switch", EXPECTED)
def test_traced_script_names_each_break_at_its_line(switch: str, tmp_path: Path) -> None:
    said, code, report = traced(tmp_path / "report.json", BREAK=switch)
    assert "result.output.requires_grad = False" in said
    assert "3. backward failed: element 0 of tensors does not require grad" in said
    assert FAILED in said
    first = report["findings"][0]
    expected, at, opened_by = EXPECTED[switch]
    assert (code, report["verdict"], first["code"]) == (1, "broken", expected)
    assert (first["at"]["file"], first["at"]["line"]) == place(*at)
    opened = first["opened_by"] and (first["opened_by"]["file"], first["opened_by"]["line"])
    assert opened == (opened_by and place(*opened_by))
