"""One suite in sessions of every kind: many workers, coverage, any order; and one without us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest
import torch

def sample(z0, cut=False):
    x = 1.5 * z0
    for _ in range(3):
        x = 0.7 * (x.detach() if cut else x) + 0.1
    return x

def run(cut=False):
    z0 = torch.ones(2, requires_grad=True)
    (sample(z0, cut) + torch.ones(2, requires_grad=True)).sum().backward()

@pytest.fixture(scope="session")
def sampled(gradprobe_session):
    with gradprobe_session.start():
        run()
    return gradprobe_session

@pytest.mark.gradprobe(leaf="z0")
def test_marked():
    run()

@pytest.mark.gradprobe(leaf="z0")
def test_marked_and_lost():
    run(cut=True)

def test_fixture(gradprobe):
    with gradprobe.start():
        run()
    gradprobe.assert_flows("z0")
    gradprobe.assert_matches_snapshot()

def test_shared(sampled):
    sampled.assert_no_cut("z0")

def test_plain():
    run(cut=True)

def test_nothing_is_left():
    from torch.overrides import _len_torch_function_stack
    assert _len_torch_function_stack() == 1  # the probe of this very test
"""
CUT = 1 + SUITE.strip().splitlines().index("        x = 0.7 * (x.detach() if cut else x) + 0.1")
TOLD = [
    "4 tests called backward: 2 flows, 2 broken",
    f"broken test_suite.py::test_marked_and_lost: GP101 detached at test_suite.py:{CUT}:20",
    f"broken test_suite.py::test_plain: GP101 detached at test_suite.py:{CUT}:20",
    "gradprobe: no test of this run had what is allowed: GP107",
]


def session(folder: Path, *options: str) -> list[str]:
    """What a session of its own prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "options",
    [
        "-p xdist -n 2",
        "--cov=test_suite --cov-report=term -p no:randomly",
        "--random-order-bucket=global --random-order-seed=1",
    ],
)
def test_the_same_is_said_in_every_kind_of_session(tmp_path: Path, options: str) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE.lstrip(), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.gradprobe]\nallow = ["GP107"]\n')
    shown = session(tmp_path, "-q", "--gradprobe", "--gradprobe-update", *options.split())
    begin = shown.index(next(line for line in shown if "= gradprobe =" in line))
    assert shown[begin + 1 : begin + 1 + len(TOLD)] == TOLD
    assert shown[-1].startswith("1 failed, 5 passed in ")
    text = "\n".join(shown)
    assert f"GP101 detached at {tmp_path / 'test_suite.py'}:{CUT}:20" in text
    if "--cov" in options:
        covered = next(line for line in shown if line.startswith("test_suite.py"))
        assert covered.split()[-1] == "100%"


def test_a_session_without_us_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path): pass\n")
    program = (
        "import sys, pytest\n"
        "class After:\n"
        "    def pytest_unconfigure(self):\n"
        "        print('LOADED', *sorted(sys.modules))\n"
        "options = ['-q', '-p', 'no:cacheprovider', '-p', 'gradprobe.pytest_plugin']\n"
        "sys.exit(pytest.main(options, plugins=[After()]))\n"
    )
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # others may load NumPy
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=alone,
        capture_output=True,
        text=True,
        check=True,
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    loaded = line.split()
    ours = [name for name in loaded if name.partition(".")[0] == "gradprobe"]
    assert ours == ["gradprobe", "gradprobe.pytest_plugin"]
    assert not {"torch", "numpy", "rich", "graphviz"} & set(loaded)
