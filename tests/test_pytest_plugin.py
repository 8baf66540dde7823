"""The fixture: what a test says when gradient is lost, and that the probe is gone afterwards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import gradprobe
from gradprobe.errors import GradientLost, UsageError
from gradprobe.records.report import Report
from gradprobe.testing import ProbedTest, assert_flows

pytest_plugins = ["pytester"]


def healthy() -> Report:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        loss = (0.7 * z0).sum()
        loss.backward()
    return probe.report()


def broken() -> Report:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(2, requires_grad=True)
        x = 0.7 * z0.detach()
        loss = (x + z0.new_ones(2, requires_grad=True)).sum()
        loss.backward()
    return probe.report()


def test_gradient_that_flows_passes() -> None:
    assert_flows(healthy(), "z0")
    assert_flows(healthy(), "z0", root="loss")


def test_a_lost_gradient_is_one_sentence_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(GradientLost) as lost:
        assert_flows(broken(), "z0", picture_dir=tmp_path)
    first, fix, picture, *_ = str(lost.value).splitlines()
    line = broken.__code__.co_firstlineno + 3
    assert first.startswith("gradient of z0: broken; GP101 detached at ")
    assert f"{__file__}:{line}:" in first
    assert fix.startswith("fix: ")
    path = Path(picture.removeprefix("picture: "))
    assert path.parent == tmp_path
    assert path.read_text().startswith("<svg")
    assert isinstance(lost.value, AssertionError)


def test_without_a_directory_no_picture_is_drawn() -> None:
    with pytest.raises(GradientLost) as lost:
        assert_flows(broken(), "z0")
    assert "picture" not in str(lost.value)


def test_a_picture_that_cannot_be_drawn_does_not_hide_the_diagnosis(tmp_path: Path) -> None:
    with pytest.raises(GradientLost, match=r"GP101 detached[^\0]*picture: none, cannot write "):
        assert_flows(broken(), "z0", picture_dir=tmp_path / "absent")


@pytest.mark.parametrize("verdict", ["partial", "broken", "zero", "nonfinite", "error", "no-root"])
def test_every_other_verdict_fails(verdict: str) -> None:
    report = healthy()
    leaf = replace(report.leaves[0], verdict=verdict)
    with pytest.raises(GradientLost, match=f"gradient of z0: {verdict}; "):
        assert_flows(replace(report, leaves=(leaf,)), "z0")


def test_an_unknown_leaf_or_another_root_fails_clearly() -> None:
    with pytest.raises(GradientLost, match=r"no leaf named 'z1' was seen \(leaves: z0\)"):
        assert_flows(healthy(), "z1")
    with pytest.raises(GradientLost, match="backward started at 'loss', not at 'x'"):
        assert_flows(healthy(), "z0", root="x")
    with pytest.raises(GradientLost, match="backward started at nothing, not at 'loss'"):
        assert_flows(replace(healthy(), root=None), "z0", root="loss")


def test_a_leaf_that_was_asked_for_and_never_came_fails_clearly() -> None:
    probed = ProbedTest().start(leaves=["z1"])
    z0 = torch.ones(2, requires_grad=True)
    z0.sum().backward()
    probed.stop()
    with pytest.raises(GradientLost, match="no leaf named 'z1' was seen"):
        probed.assert_flows("z1")


def test_nothing_is_known_before_the_start() -> None:
    with pytest.raises(UsageError, match=r"call gradprobe.start\(\) first"):
        ProbedTest().report()


def test_the_plugin_imports_no_torch() -> None:
    program = "import gradprobe.pytest_plugin, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"


SAMPLERS = """
import torch
from torch.overrides import _len_torch_function_stack

def sample(z0, cut):
    x = z0.detach() if cut else z0
    for _ in range(2):
        x = 0.7 * x + 0.1
    return x + torch.ones(2, requires_grad=True)

def test_flows(gradprobe):
    with gradprobe.start() as probe:
        z0 = torch.ones(2, requires_grad=True)
        sample(z0, False).sum().backward()
    probe.assert_flows("z0")
    assert probe.report().verdict == "flows"
    assert probe.records == probe.report().stages

def test_lost(gradprobe):
    gradprobe.start()
    z0 = torch.ones(2, requires_grad=True)
    sample(z0, True).sum().backward()
    gradprobe.assert_flows("z0")

def test_raises(gradprobe):
    gradprobe.start()
    torch.ones(2) + torch.ones(3)

def test_raises_inside(gradprobe):
    with gradprobe.start():
        raise KeyError("mine")

def test_twice(gradprobe):
    for _ in range(2):
        gradprobe.start()
        z0 = torch.ones(2, requires_grad=True)
        sample(z0, False).sum().backward()
        gradprobe.assert_flows("z0")

def test_nothing_is_left():
    assert _len_torch_function_stack() == 0
"""


def test_the_fixture_in_a_run_of_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_samplers=SAMPLERS)
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=3)
    shown = result.stdout.str()
    line = SAMPLERS.strip().splitlines().index("    x = z0.detach() if cut else z0") + 1
    assert re.search(
        rf"GradientLost: gradient of z0: broken; GP101 .*test_samplers.py:{line}:", shown
    )
    picture = re.search(r"picture: (\S+\.svg)", shown)
    assert picture is not None
    assert "<svg" in Path(picture[1]).read_text()
    assert "KeyError: 'mine'" in shown
    assert "def assert_flows" not in shown  # our own frames are hidden


RAISING = """
import torch

def test_backward_raises(gradprobe):
    gradprobe.start()
    z0 = torch.ones(2, requires_grad=True)
    (2.0 * z0.detach()).sum().backward()

def test_gradient_flows_and_the_test_fails(gradprobe):
    with gradprobe.start():
        z0 = torch.ones(2, requires_grad=True)
        (2.0 * z0).sum().backward()
    assert z0.grad is None

def test_nothing_ran(gradprobe):
    raise KeyError("mine")

def test_an_unknown_leaf(gradprobe):
    gradprobe.start(leaves=["z1"])
    z0 = torch.ones(2, requires_grad=True)
    z0.sum().backward()
    raise KeyError("mine")
"""


def test_a_failure_of_another_kind_is_explained_beside_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_samplers=RAISING)
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    result.assert_outcomes(failed=4)
    _, *sections = re.split(r"^-+ gradprobe -+$", result.stdout.str(), flags=re.MULTILINE)
    assert len(sections) == 2
    assert re.match(
        r"\ngradient of z0: broken; GP101 detached at \S+test_samplers.py:6:\d+: .*\nfix: .*\n"
        r"picture: \S+gradprobe-z0.svg\n",
        sections[0],
    )
    assert sections[1].startswith("\nno leaf named 'z1' was seen; did you mean z0?\n")


SETTINGS = """
[tool.gradprobe]
allow = ["GP301:test_samplers.py:sample", "GP107:absent.py"]

[tool.gradprobe.stages]
denoised = "test_samplers.py:sample:denoised"
"""
WITH_SETTINGS = """
import torch

def sample(x, cut):
    for _ in range(3):
        denoised = 0.7 * (x.detach() if cut else x).round() + 0.1
        x = x + 0.5 * (denoised - x)
    return x

def run(gradprobe, cut=False, **more):
    with gradprobe.start(**more) as probe:
        z0 = torch.linspace(-2.0, 2.0, 8).requires_grad_()
        sample(3.0 * z0, cut).sum().backward()
    return probe

def test_stages_and_what_is_allowed(gradprobe):
    probe = run(gradprobe)
    assert len(probe.assert_records("denoised")) == 3
    assert probe.report().verdict == "partial"
    probe.assert_flows()

def test_what_is_asked_for_wins(gradprobe):
    probe = run(gradprobe, stages={"denoised": "test_samplers.py:sample:cut"})
    assert [record.name for record in probe.records if record.name == "denoised"] == []

def test_none_is_none(gradprobe):
    assert [record.name for record in run(gradprobe, find_stages="none").records][0] == "z0"
    run(gradprobe, stages=["result=test_samplers.py:run:probe"], allow=["GP101"])
    assert [sentence.partition(":")[0] for sentence in gradprobe.report().unseen] == [
        "stage selector result=test_samplers.py",
        "allow entry GP101",
    ]

def test_something_else_is_lost(gradprobe):
    run(gradprobe, cut=True).assert_no_findings()
"""


def test_settings_of_the_project_hold_in_its_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(SETTINGS)
    pytester.makepyfile(test_samplers=WITH_SETTINGS)
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=1)
    shown = result.stdout.str()
    assert "GradientLost: 1 finding, the first for z0" in shown
    assert re.search(r"GP101 detached at \S+test_samplers.py:5:", shown)
    result.stdout.fnmatch_lines(
        ["gradprobe: no test of this run had what is allowed: GP107:absent.py"]
    )
    again = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-k", "no_such_test")
    assert "what is allowed" not in again.stdout.str()


OF_MANY = """
import torch

def sample(x, cut):
    for _ in range(3):
        seen = x.detach() if cut else x
        x = x + 0.5 * (seen.tanh() - x) + 0.1 * x.round()  # gradprobe: allow GP301 -- quantised
    return x

def run(gradprobe, cut=False, **more):
    with gradprobe.start(**more) as probe:
        z0 = torch.linspace(-2.0, 2.0, 8).requires_grad_()
        sample(3.0 * z0, cut).sum().backward()
    return probe

def test_what_is_known(gradprobe):
    probe = run(gradprobe, cut=True)
    probe.assert_no_findings()
    probe.assert_flows()
    found = [(f.code, f.allowed_by, f.reason) for f in probe.report().findings]
    assert sorted(found) == [("GP101", "baseline", None), ("GP301", "comment", "quantised")]
    assert probe.report().unseen == ()

def test_without_the_detach(gradprobe):
    probe = run(gradprobe)
    probe.assert_flows()
    assert probe.report().unseen == ()  # one test of many says nothing of the baseline

def test_what_is_left_out(gradprobe):
    probe = run(gradprobe, cut=True, ignore="GP1")
    probe.assert_no_findings()
    probe.assert_flows()
"""


def test_a_baseline_and_comments_hold_in_tests(pytester: pytest.Pytester) -> None:
    folder = pytester.path
    pytester.makepyprojecttoml('[tool.gradprobe]\nbaseline = "known.json"\n')
    pytester.makepyfile(test_samplers=OF_MANY)
    spot = {"file": "test_samplers.py", "function": "sample"}
    known = [
        {"code": "GP101", "severity": "warning", "source": "seen = x.detach() if cut else x"},
        {"code": "GP107", "severity": "warning", "source": "y = x.argmax()"},
    ]
    data = {"schema": "gradprobe.baseline/1", "findings": [{**one, **spot} for one in known]}
    (folder / "known.json").write_text(json.dumps(data))
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*GradientLost: gradient of z0: partial; GP301 flat-op (allowed) at *",
            "gradprobe: no test of this run had what is allowed: GP107 in test_samplers.py:sample",
        ]
    )
    (folder / "known.json").unlink()
    missing = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-k", "known")
    missing.stdout.fnmatch_lines(["*cannot read *known.json: No such file or directory"])


def test_wrong_settings_are_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml('[tool.gradprobe]\nleafs = ["z0"]\n')
    pytester.makepyfile(test_samplers=SAMPLERS, test_other="def test_it(): pass")
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=5)
    shown = result.stdout.str()
    line = "pyproject.toml: unknown key 'leafs' in [tool.gradprobe]; did you mean leaves?"
    assert shown.splitlines().count(line) == 5
    assert "During handling" not in shown
    assert "nearest(" not in shown
