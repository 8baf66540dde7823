"""The copyable script and its shell script, run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "gradient_flow.py"
BOTH = ROOT / "examples" / "run_gradient_test.sh"


def execute(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("BREAK", "LEARNABLE_STEP_NOISE")}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return subprocess.run(
        [str(part) for part in command],
        env={**kept, "PYTHONPATH": path, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"loss (\d+\.\d+)", output)]


def test_script_is_short_enough_to_copy() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) < 60


def test_shell_script_runs_both_modes() -> None:
    done = execute("bash", BOTH)
    assert (done.returncode, done.stderr) == (0, "")
    for line in ("== step noise off", "== step noise derived from z0"):
        assert line in done.stdout
    assert done.stdout.count("PASSED: the gradient reaches z0.") == 2
    assert [n for n in re.findall(r"^(\d)\. ", done.stdout, re.M)] == list("12345") * 2
    quiet, noisy = losses(done.stdout)
    assert quiet != noisy


@pytest.mark.parametrize("switch", ["a", "b", "c", "d", "e"])
def test_each_break_is_seen_by_the_plain_script(switch: str) -> None:
    done = execute(sys.executable, SCRIPT, BREAK=switch, LEARNABLE_STEP_NOISE="1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "result.output.requires_grad = False" in done.stdout
    assert "3. backward failed: element 0 of tensors does not require grad" in done.stdout
    assert done.stdout.endswith("4. FAILED: no gradient at z0\n")


def test_shell_script_stops_at_the_first_mode_that_fails() -> None:
    done = execute("bash", BOTH, BREAK="a")
    assert done.returncode == 1
    assert "derived from z0" not in done.stdout
