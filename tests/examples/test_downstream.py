"""The pretend library: its own test passes, and names the place of each break put into it."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from diffusers import DDIMScheduler

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "examples" / "downstream"
SAMPLER = "noise_search/sampler.py"
CALL = "        noise = model(x, t)\n"


@pytest.fixture
def library(pytester: pytest.Pytester) -> Path:
    shutil.copytree(LIBRARY, pytester.path, dirs_exist_ok=True)
    return pytester.path / SAMPLER


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    assert DDIMScheduler  # imported once for all runs: they share this process
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")


def test_four_assertions_in_under_thirty_lines() -> None:
    text = (LIBRARY / "tests" / "test_gradients.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 30
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    asserted = [call.attr for call in calls if isinstance(call, ast.Attribute)]
    assert [name for name in asserted if name.startswith("assert_")] == [
        "assert_records",
        "assert_complete",
        "assert_healthy",
        "assert_no_findings",
    ]


def test_the_library_knows_nothing_of_us() -> None:
    for path in (LIBRARY / "noise_search").rglob("*.py"):
        assert "gradprobe" not in path.read_text(encoding="utf-8")


def test_a_healthy_sampler_passes(pytester: pytest.Pytester, library: Path) -> None:
    run(pytester).assert_outcomes(passed=1)


BREAKS = {
    "fewer steps": (
        "in scheduler.timesteps:",
        "in scheduler.timesteps[1:]:",
        r"stage 'pred_original_sample' was recorded at steps 0, 1, 2, not 0, 1, 2, 3: none at 3; "
        r"the last is pred_original_sample at step 2 \(\S+scheduling_ddim\.py:\d+:\d+\)",
        (),
    ),
    "no_grad": (
        CALL,
        "        with __import__('torch').no_grad():\n    " + CALL,
        r"gradient of z0 is not complete: .*0 of 4",
        (
            r"step 0, call 0 of Denoiser \(\S+sampler\.py:17:\d+\): gradient entered: ",
            r"step 3, call 0 of Denoiser \(\S+sampler\.py:17:\d+\): gradient entered: ",
            r"GP102 grad-mode-off at \S+, opened by \S+sampler\.py:16:\d+: ",
        ),
    ),
    "detach": (
        CALL,
        CALL.replace("(x, t)", "(x.detach(), t)"),
        r"gradient of z0 is not complete: .*0 of 4",
        (r"GP101 detached at \S+sampler\.py:16:\d+: ", r"fix: .*\.detach\(\)"),
    ),
    "zero": (
        "return x",
        "return 0 * x",
        r"z0 \(\S+test_gradients\.py:15:\d+\): its gradient is exactly zero",
        (
            r"pred_original_sample at step 2 \(\S+scheduling_ddim\.py:\d+:\d+\): its gradient is "
            "exactly zero",
            "and 1 more records",
        ),
    ),
    "dead step": (
        "        x = scheduler.step(noise, t, x).prev_sample\n",
        "        x = scheduler.step(noise, t, x).prev_sample\n"
        "        if t == 500:\n            x = x.round() + 0.01 * x\n",
        r"(?:1 finding, the first for z0|gradient of z0 is not complete: )",
        (r"GP301 flat-op at \S+sampler\.py:19:\d+: ",),
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_is_named(pytester: pytest.Pytester, library: Path, what: str) -> None:
    old, new, first, others = BREAKS[what]
    text = library.read_text(encoding="utf-8")
    assert text.count(old) == 1
    library.write_text(text.replace(old, new), encoding="utf-8")
    result = run(pytester)
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert re.search(rf"GradientLost: {first}", shown)
    for other in others:
        assert re.search(rf"^E +{other}", shown, re.MULTILINE), other


def test_a_backward_that_raises_is_explained(pytester: pytest.Pytester, library: Path) -> None:
    text = library.read_text(encoding="utf-8")
    library.write_text(text.replace(".prev_sample", ".prev_sample.detach()"), encoding="utf-8")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    shown = result.stdout.str()
    assert "RuntimeError: element 0 of tensors does not require grad" in shown
    _, title, section = shown.partition(" gradprobe -")
    assert title
    assert re.search(
        r"^gradient of z0: broken; GP101 detached at \S+sampler\.py:17:\d+: ", section, re.M
    )
    assert re.search(r"^fix: .*\.detach\(\)", section, re.MULTILINE)
