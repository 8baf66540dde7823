"""The pytest plugin: a fixture that traces the gradient of a test.

    def test_my_sampler(gradprobe):
        with gradprobe.start() as probe:
            z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
            sample(model, z0).sum().backward()
        probe.assert_flows("z0")

A test that fails in another way, say because `backward` raised, gets the diagnosis as a section of
its report.

pytest loads this module in every run, so it imports no torch, and reads `[tool.gradprobe]` only for
a test that asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradprobe.errors import GradientLost, UsageError
from gradprobe.testing import ProbedTest

if TYPE_CHECKING:
    from gradprobe.config import Config
    from gradprobe.diagnose.allow import Allowed
    from gradprobe.records.baseline import Entry

_PROBED: pytest.StashKey[ProbedTest] = pytest.StashKey()
# What the project allows and no report of the run had so far; absent until the first report.
_UNMATCHED: pytest.StashKey[frozenset[Allowed | Entry]] = pytest.StashKey()


@pytest.fixture(name="gradprobe")
def _gradprobe(
    tmp_path: Path, request: pytest.FixtureRequest, _gradprobe_config: Config
) -> Iterator[ProbedTest]:
    """A probe for this test: `start()`, then `records`, `report()`, `assert_flows(leaf, root)`.

    It is undone at the end of the test, also of one that fails. The picture of a lost gradient is
    written to the test's `tmp_path`. The nearest pyproject.toml with `[tool.gradprobe]`, from
    pytest's root directory upwards, has the defaults of `start`.
    """
    probed = request.node.stash[_PROBED] = ProbedTest(tmp_path, _gradprobe_config)
    yield probed
    probed.stop()
    if probed.unmatched is not None:
        stash = request.config.stash
        stash[_UNMATCHED] = stash.get(_UNMATCHED, probed.unmatched) & probed.unmatched


@pytest.fixture(scope="session")
def _gradprobe_config(pytestconfig: pytest.Config) -> Config:
    from gradprobe.config import nearest

    try:
        return nearest(pytestconfig.rootpath, shared=True)
    except UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the diagnosis beside a failure that does not tell it itself."""
    report = yield
    probed = item.stash.get(_PROBED, None)
    told = call.excinfo is not None and call.excinfo.errisinstance(GradientLost)
    if report.failed and probed is not None and not told:
        lines = probed.explain()
        if lines:
            report.sections.append(("gradprobe", "\n".join(lines)))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name what is allowed and was found nowhere, so that it does not stand there for ever."""
    left = config.stash.get(_UNMATCHED, frozenset())
    if left:
        entries = ", ".join(sorted(map(str, left)))
        terminalreporter.write_line(
            f"gradprobe: no test of this run had what is allowed: {entries}"
        )
