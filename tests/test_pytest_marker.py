"""The marker and `--gradprobe`: which tests are traced as a whole, and what is said of them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as XML
from pathlib import Path

import pytest
import torch

import gradprobe.testing
from gradprobe import Probe
from gradprobe.render.svg import Svg
from tests.traced import marked

pytest_plugins = ["pytester"]

# Imported once for all runs: what a run in this process imports first is forgotten after it.
assert torch
assert Probe
assert gradprobe.testing.ProbedTest
assert Svg

SAMPLER = """
import pytest
import torch
import gradprobe as tool

def sample(z0, cut=False):
    x = 1.5 * z0
    for _ in range(3):
        x = 0.7 * (x.detach() if cut else x) + 0.1  # <- cut
    return x

def run(cut=False):
    z0 = torch.ones(2, requires_grad=True)
    loss = (sample(z0, cut) + torch.ones(2, requires_grad=True)).sum()
    loss.backward()
    return z0
"""
MARKED = (
    SAMPLER
    + """
@pytest.fixture
def noise():
    return torch.ones(2, requires_grad=True)

@pytest.mark.gradprobe(leaf="z0", root="loss")
def test_flows():
    run()

@pytest.mark.gradprobe(leaf="z0")
def test_lost():
    run(cut=True)

@pytest.mark.gradprobe
def test_every_leaf():
    run(cut=True)

@pytest.mark.gradprobe(leaf="z0", root="image")
def test_other_root():
    run()

@pytest.mark.gradprobe(leaf="z0")
def test_raises():
    z0 = torch.ones(2, requires_grad=True)
    sample(z0, cut=True).sum().backward()

@pytest.mark.gradprobe
def test_nothing():
    pass

@pytest.mark.gradprobe(leef="z0")
def test_wrong_argument():
    pass

@pytest.mark.gradprobe(leaf="z0")
def test_another_probe():
    with tool.Probe():
        pass

@pytest.mark.gradprobe(leaf="noise")
def test_leaf_of_a_fixture(noise):
    held = [noise]
    sample(held[0]).sum().backward()

@pytest.mark.gradprobe(leaf="z0", stages={"state": "test_marked.py:sample:x"})
def test_beside_the_fixture(gradprobe):
    run()
    gradprobe.assert_records("state", count=4)

@pytest.mark.gradprobe(leaf="z0")
def test_the_fixture_begins_anew(gradprobe):
    run(cut=True)
    gradprobe.start()
    run()

@pytest.mark.gradprobe
class TestMany:
    def test_flows(self):
        run()

@pytest.mark.gradprobe(leaf="z0")
@pytest.mark.xfail(strict=True)
def test_expected_to_lose():
    run(cut=True)

def test_nothing_is_left():
    from torch.overrides import _len_torch_function_stack
    assert _len_torch_function_stack() == 0
"""
)
LOST = ("test_lost", "test_every_leaf")


@pytest.fixture(scope="module")
def _once() -> dict[str, pytest.RunResult]:
    return {}


@pytest.fixture
def marked_run(pytester: pytest.Pytester, _once: dict[str, pytest.RunResult]) -> pytest.RunResult:
    """One run for all tests of the marker."""
    if "run" not in _once:
        pytester.makepyfile(test_marked=MARKED)
        _once["run"] = pytester.runpytest_inprocess(
            "-q", "-p", "no:cacheprovider", "--strict-markers", "-p", "no:randomly"
        )
    return _once["run"]


def said_of(result: pytest.RunResult, test: str) -> str:
    _, _, rest = result.stdout.str().partition(f"_ {test} _")
    return re.split(r"^_+ \w+ _+$|^=+", rest, maxsplit=1, flags=re.MULTILINE)[0]


def test_a_marked_test_fails_when_its_gradient_is_lost(marked_run: pytest.RunResult) -> None:
    marked_run.assert_outcomes(passed=6, failed=7, xfailed=1)
    line = marked(MARKED.strip(), "cut")
    for test in LOST:
        said = said_of(marked_run, test).strip("_\n").splitlines()
        assert re.match(
            rf"gradient of z0: broken; GP101 detached at \S+test_marked.py:{line}:\d+: ", said[0]
        )
        assert said[1].startswith("fix: ")
        assert re.match(r"picture: \S+gradprobe-z0.svg", said[2])


def test_a_marked_test_that_fails_by_itself_is_explained(marked_run: pytest.RunResult) -> None:
    said = said_of(marked_run, "test_raises")
    assert "RuntimeError: element 0 of tensors does not require grad" in said
    line = marked(MARKED.strip(), "cut")
    assert re.search(rf"GP101 detached at \S+test_marked.py:{line}:", said)


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        ("test_other_root", "backward started at 'loss', not at 'image'"),
        ("test_nothing", "no tensor of this test required grad: no-root: "),
        ("test_wrong_argument", "pytest.mark.gradprobe got an unexpected keyword argument 'leef'"),
        ("test_another_probe", "UsageError: a probe is already active: stop it before starting"),
    ],
)
def test_what_cannot_be_judged_fails(
    marked_run: pytest.RunResult, test: str, sentence: str
) -> None:
    assert sentence in said_of(marked_run, test)


def test_the_frames_of_the_plugin_are_hidden(marked_run: pytest.RunResult) -> None:
    assert "pytest_plugin.py" not in marked_run.stdout.str()


EVERY = (
    SAMPLER
    + """
import gradprobe.testing

def test_flows():
    run()

def test_lost():
    run(cut=True)

def test_without_torch():
    pass

def test_fails():
    run(cut=True)
    raise KeyError("mine")

def test_own_probe():
    with tool.Probe() as probe:
        run(cut=True)
    assert probe.report().verdict == "broken"

def test_own_fixture(gradprobe):
    with gradprobe.start():
        run()
    gradprobe.assert_flows("z0")

def test_function_form():
    tool.testing.assert_grad_flows(lambda z0: sample(z0).sum(), torch.ones(2))

def test_nothing_is_left():
    from torch.overrides import _len_torch_function_stack
    assert _len_torch_function_stack() == 1  # the probe of this very test
"""
)


def every(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_every=EVERY)
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", *options)


def test_every_test_is_traced_and_told_of(pytester: pytest.Pytester) -> None:
    result = every(pytester, "--gradprobe", "--gradprobe-report=kept", "--junit-xml=results.xml")
    result.assert_outcomes(passed=7, failed=1)
    line = marked(EVERY.strip(), "cut")
    result.stdout.fnmatch_lines(
        [
            "*= gradprobe =*",
            "4 tests called backward: 2 flows, 2 broken",
            f"broken test_every.py::test_fails: GP101 detached at test_every.py:{line}:*",
            f"broken test_every.py::test_lost: GP101 detached at test_every.py:{line}:*",
        ]
    )
    said = said_of(result, "test_fails")
    assert re.search(rf"\ngradient of z0: broken; GP101 detached at \S+:{line}:", said)
    # The report of the one that failed is kept, under its name.
    [folder] = (pytester.path / "kept").iterdir()
    assert folder.name.startswith("test_every.py-test_fails-")
    assert f"report: {folder / 'report.json'}" in said
    assert json.loads((folder / "report.json").read_text())["verdict"] == "broken"
    assert (folder / "report.svg").read_text().startswith("<svg")
    # And its properties stand in JUnit's XML.
    cases = {case.get("name"): case for case in XML.parse("results.xml").iter("testcase")}
    found = [(p.get("name"), p.get("value")) for p in cases["test_fails"].iter("property")]
    assert found[0] == ("gradprobe.verdict", "broken")
    assert str(found[1][1]).startswith(f"GP101 detached at test_every.py:{line}:")
    assert found[2:] == [("gradprobe.report", str(folder))]
    assert not list(cases["test_without_torch"].iter("property"))


def test_nothing_of_it_without_the_option(pytester: pytest.Pytester) -> None:
    result = every(pytester, "-k", "lost or flows")
    result.assert_outcomes(passed=2)
    assert "= gradprobe =" not in result.stdout.str()


def test_fail_on_makes_findings_failures(pytester: pytest.Pytester) -> None:
    result = every(pytester, "--gradprobe", "--gradprobe-fail-on=error", "-k", "lost or flows")
    result.assert_outcomes(passed=1, failed=1)
    line = marked(EVERY.strip(), "cut")
    assert re.search(
        rf"^gradient of z0: broken; GP101 detached at \S+test_every.py:{line}:",
        result.stdout.str(),
        re.MULTILINE,
    )


def test_what_is_allowed_does_not_fail(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml('[tool.gradprobe]\nallow = ["GP101"]\n')
    result = every(pytester, "--gradprobe", "--gradprobe-fail-on=warning", "-k", "lost or flows")
    result.assert_outcomes(passed=2)


def test_options_of_the_ini_file(pytester: pytest.Pytester) -> None:
    options = "gradprobe = true\ngradprobe_fail_on = note\ngradprobe_report = reports\n"
    pytester.makeini(f"[pytest]\n{options}")
    every(pytester, "-k", "lost or flows").assert_outcomes(passed=1, failed=1)
    assert len([*(pytester.path / "reports").iterdir()]) == 1
    pytester.makeini("[pytest]\ngradprobe_fail_on = eror\n")
    wrong = every(pytester)
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert "gradprobe_fail_on is 'eror'; it is one of error, warning, note, never" in (
        wrong.stderr.str()
    )


SESSION = (
    SAMPLER
    + """
@pytest.fixture(scope="session")
def sampled(gradprobe_session):
    with gradprobe_session.start():
        run(cut=CUT)
    return gradprobe_session

def test_flows(sampled):
    sampled.assert_flows("z0")

def test_finite(sampled):
    sampled.assert_finite("z0")

def test_kept(sampled):
    sampled.assert_matches_snapshot("shared")

def test_of_its_own(sampled, gradprobe):
    with gradprobe.start():
        run()
    gradprobe.assert_same_gradient(sampled)
    gradprobe.assert_matches_snapshot()
"""
)


def test_a_run_shared_by_tests_and_its_snapshots(pytester: pytest.Pytester) -> None:
    options = ("-q", "-p", "no:cacheprovider", "--gradprobe")
    pytester.makepyfile(test_shared=SESSION.replace("CUT", "False"))
    missing = pytester.runpytest_inprocess(*options)
    missing.assert_outcomes(passed=2, failed=2)
    assert "write it with --gradprobe-update" in missing.stdout.str()
    pytester.runpytest_inprocess(*options, "--gradprobe-update").assert_outcomes(passed=4)
    shared = pytester.path / "__gradprobe__" / "shared.txt"
    own = pytester.path / "__gradprobe__" / "test_shared" / "test_of_its_own.txt"
    assert shared.read_text() == own.read_text()
    assert "leaf z0: flows " in own.read_text()
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=4)

    pytester.makepyfile(test_shared=SESSION.replace("CUT", "True"))
    lost = pytester.runpytest_inprocess(*options)
    lost.assert_outcomes(failed=4)
    line = marked(SESSION.strip(), "cut")
    said = said_of(lost, "test_kept")
    assert re.search(rf"GP101 detached at \S+test_shared.py:{line}:", said)
    # The difference is pytest's own.
    assert re.search(r"^E +- leaf z0: broken|^E +- leaf z0: flows", said, re.MULTILINE)
    assert "two gradients are not the same: " in said_of(lost, "test_of_its_own")


def test_a_probe_that_is_still_running_is_not_disturbed(pytester: pytest.Pytester) -> None:
    begun = "    gradprobe_session.start()\n    run(cut=CUT)\n"
    text = SESSION.replace("    with gradprobe_session.start():\n        run(cut=CUT)\n", begun)
    pytester.makepyfile(test_shared=text.replace("CUT", "False"))
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "--gradprobe")
    assert "UsageError: a probe is already active" in said_of(result, "test_of_its_own")
    result.assert_outcomes(passed=2, failed=2)
    assert Path("test_shared.py").exists()
