"""The pretend library: its own tests pass, and name the place of each break put into it."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from diffusers import DDIMScheduler

from gradprobe import Probe
from gradprobe.render.svg import Svg
from gradprobe.testing import ProbedTest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "examples" / "downstream"
SAMPLER = "noise_search/sampler.py"
CALL = "        noise = model(x, t)\n"


@pytest.fixture
def library(pytester: pytest.Pytester) -> Path:
    shutil.copytree(LIBRARY, pytester.path, dirs_exist_ok=True)
    return pytester.path / SAMPLER


def run(pytester: pytest.Pytester, tests: str = "tests/test_gradients.py") -> pytest.RunResult:
    # Imported once for all runs: they share this process.
    assert DDIMScheduler
    assert Probe
    assert ProbedTest
    assert Svg
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", tests)


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
    run(pytester, "tests").assert_outcomes(passed=5)


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


# A line of the library, what it is made into, and the code that the changed line is named with.
EULER = {
    "detached answer": (
        "denoised = denoiser(x, sigma)",
        "denoised = denoiser(x, sigma).detach()",
        "GP101",
    ),
    "grad mode off": (
        "    def forward(self, x: Tensor",
        "    @__import__('torch').no_grad()\n    def forward(self, x: Tensor",
        "GP102",
    ),
    "copied": (
        "x = sigmas[0] * z0",
        "x = torch.tensor((sigmas[0] * z0).tolist())",
        "GP104",
    ),
    "rounded": (
        "x = x + (following - sigma) * slope",
        "x = x + ((following - sigma) * slope).round()",
        "GP301",
    ),
    "not a number": (
        "slope = (x - denoised) / sigma",
        "slope = (x - denoised) / (sigma - sigma)",
        "GP302",
    ),
}


@pytest.mark.parametrize("what", EULER)
def test_a_regression_fails_with_its_line(
    pytester: pytest.Pytester, library: Path, what: str
) -> None:
    old, new, code = EULER[what]
    [file] = [
        path
        for path in (library.with_name("euler.py"), library.with_name("guidance.py"))
        if old in path.read_text(encoding="utf-8")
    ]
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    lines = text.replace(old, new).splitlines()
    line = 1 + next(i for i, one in enumerate(lines) if one.strip() == new.splitlines()[0].strip())

    result = run(pytester, "tests/test_euler.py")
    shown = result.stdout.str()
    assert result.parseoutcomes()["failed"] == 4, shown
    parts = re.split(r"^_+ (test_\w+) _+$", shown, flags=re.MULTILINE)
    for test, said in zip(parts[1::2], parts[2::2], strict=True):
        named = rf"{code} [\w-]+ at \S+(?:, opened by \S+)?{file.name}:{line}:\d+"
        assert re.search(named, said), f"{test}\n{said}"
