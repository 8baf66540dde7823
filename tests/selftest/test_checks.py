"""The selftest under its probe: both modes, both languages, and each switch's diagnosis."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.cells import cell_len

from gradprobe.errors import UsageError
from gradprobe.records.report import Finding, Report
from gradprobe.selftest import Breaks, program, res_sampler, run
from gradprobe.selftest.checks import probed
from gradprobe.selftest.messages import LANGUAGES
from gradprobe.selftest.program import settings, through_steps_alone

FAULTS = ("gradient_not_allowed", "leaf_not_tracking", "forward_without_grad", "learn_noise_off")


def said(step_noise: bool, lang: str = "en", breaks: Breaks | None = None) -> tuple[int, str]:
    out = io.StringIO()
    return run(step_noise, lang, breaks, out), out.getvalue()


def place(module: ModuleType, source: str) -> tuple[str, int]:
    """File and line of the one line of `module` that holds `source`."""
    lines = inspect.getsource(module).splitlines()
    (number,) = (n for n, line in enumerate(lines, start=1) if source in line)
    return str(Path(inspect.getfile(module)).resolve()), number


Z0_MADE = (program, "z0 = torch.randn(")
Z0_TRACKS = (program, "    z0.requires_grad_()")
START_MADE = (res_sampler, "config.sigma_max * start")
NO_GRAD = (res_sampler, "torch.no_grad()")
CALLER_OFF = (program, "with torch.set_grad_enabled(")
FRESH_NOISE = (res_sampler, "return torch.randn(")

EXPECTED = {
    "gradient_not_allowed": ("GP102", START_MADE, NO_GRAD),
    "leaf_not_tracking": ("GP108", Z0_MADE, None),
    "forward_without_grad": ("GP102", START_MADE, CALLER_OFF),
    "learn_noise_off": ("GP109", Z0_TRACKS, FRESH_NOISE),
}


def diagnosed(step_noise: bool, breaks: Breaks, narrower: bool = False) -> Report:
    config = settings(step_noise, breaks)
    return probed(through_steps_alone(config) if narrower else config, breaks)[0]


def assert_finding(
    finding: Finding,
    code: str,
    at: tuple[ModuleType, str],
    opened_by: tuple[ModuleType, str] | None,
) -> None:
    assert finding.code == code
    assert (finding.at.file, finding.at.line) == place(*at)
    if opened_by is None:
        assert finding.opened_by is None
    else:
        assert finding.opened_by is not None
        assert (finding.opened_by.file, finding.opened_by.line) == place(*opened_by)
    assert finding.leaf == "z0"
    assert finding.severity == "error"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("step_noise", [False, True])
def test_both_modes_pass_in_both_languages(step_noise: bool, lang: str) -> None:
    code, text = said(step_noise, lang)
    say = LANGUAGES[lang]
    assert code == 0
    assert text.endswith(f"\n{say.passed}\n")
    lines = text.splitlines()
    numbered = [line for line in lines if line[:2] in {f"{n}." for n in range(1, 6)}]
    assert len(numbered) == 5
    columns = {cell_len(line[: line.index(say.ok) + len(say.ok)]) for line in numbered}
    assert len(columns) == 1
    for name, line in zip(say.check_names, numbered, strict=True):
        assert name in line
    assert max(cell_len(line) for line in lines) <= 80
    assert "\x1b" not in text
    assert (say.step_noise_on in text) == step_noise


@pytest.mark.parametrize("step_noise", [False, True])
def test_healthy_program_flows_with_no_finding_above_note(step_noise: bool) -> None:
    report = diagnosed(step_noise, Breaks())
    assert report.verdict == "flows"
    assert {finding.severity for finding in report.findings} <= {"note"}
    assert [leaf.name for leaf in report.leaves] == ["z0"]
    names = [stage.name for stage in report.stages]
    for name in ("start_state", "denoised_output", "final_output"):
        assert name in names
    assert ("step_noise" in names) == step_noise


@pytest.mark.parametrize("step_noise", [False, True])
@pytest.mark.parametrize("switch", FAULTS)
def test_each_switch_is_named_at_its_line(switch: str, step_noise: bool) -> None:
    report = diagnosed(step_noise, Breaks(**{switch: True}))
    assert report.verdict == "broken"
    assert_finding(report.findings[0], *EXPECTED[switch])


def test_fresh_step_noise_flows_through_the_start_and_is_named_without_it() -> None:
    breaks = Breaks(fresh_step_noise=True)
    assert diagnosed(True, breaks).verdict == "flows"
    narrower = diagnosed(True, breaks, narrower=True)
    assert narrower.verdict == "broken"
    assert_finding(narrower.findings[0], "GP109", Z0_TRACKS, FRESH_NOISE)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("switch", FAULTS)
def test_a_failing_run_prints_its_diagnosis(switch: str, lang: str) -> None:
    code, text = said(False, lang, Breaks(**{switch: True}))
    say = LANGUAGES[lang]
    finding, at, _ = EXPECTED[switch]
    file, line = place(*at)
    assert code == 1
    assert say.broken in text
    assert say.passed not in text
    assert say.gradient_missing in text
    assert finding in text
    assert f"{Path(file).name}:{line}" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_failing_run_with_fresh_step_noise_tells_the_whole_truth(lang: str) -> None:
    code, text = said(True, lang, Breaks(fresh_step_noise=True))
    say = LANGUAGES[lang]
    assert code == 1
    assert say.start_only in text
    assert say.no_share in text
    assert "GP109" in text
    assert text.count(f"  {say.ok}  ") == 5


def test_fresh_step_noise_is_no_fault_where_step_noise_is_off() -> None:
    assert said(False, breaks=Breaks(fresh_step_noise=True)) == said(False)


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown language 'fr': choose one of en, zh"):
        run(lang="fr", out=io.StringIO())


def test_under_a_second_after_torch_is_imported() -> None:
    timed = (
        "import time, torch; start = time.perf_counter()\n"
        "from gradprobe.selftest import run\n"
        "code = run() + run(step_noise=True)\n"
        "print(code, (time.perf_counter() - start) / 2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", timed],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    code, seconds = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert float(seconds) < 1.0


def test_an_output_without_chinese_gets_escapes_not_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gradprobe", "selftest", "--lang", "zh"],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert LANGUAGES["zh"].passed.encode("ascii", "backslashreplace").decode() in done.stdout
