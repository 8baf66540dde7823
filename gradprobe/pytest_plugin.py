"""The pytest plugin: a fixture that traces the gradient of a test.

    def test_my_sampler(gradprobe):
        with gradprobe.start() as probe:
            z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
            sample(model, z0).sum().backward()
        probe.assert_flows("z0")

pytest loads this module in every run, so it imports no torch, and reads `[tool.gradprobe]` only for
a test that asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradprobe.errors import UsageError
from gradprobe.testing import ProbedTest

if TYPE_CHECKING:
    from gradprobe.config import Config
    from gradprobe.diagnose.allow import Allowed

# What the project allows and no report of the run had so far; absent until the first report.
_UNMATCHED: pytest.StashKey[frozenset[Allowed]] = pytest.StashKey()


@pytest.fixture(name="gradprobe")
def _gradprobe(
    tmp_path: Path, pytestconfig: pytest.Config, _gradprobe_config: Config
) -> Iterator[ProbedTest]:
    """A probe for this test: `start()`, then `records`, `report()`, `assert_flows(leaf, root)`.

    It is undone at the end of the test, also of one that fails. The picture of a lost gradient is
    written to the test's `tmp_path`. The nearest pyproject.toml with `[tool.gradprobe]`, from
    pytest's root directory upwards, has the defaults of `start`.
    """
    probed = ProbedTest(tmp_path, _gradprobe_config)
    yield probed
    probed.stop()
    if probed.unmatched is not None:
        left = pytestconfig.stash.get(_UNMATCHED, probed.unmatched)
        pytestconfig.stash[_UNMATCHED] = left & probed.unmatched


@pytest.fixture(scope="session")
def _gradprobe_config(pytestconfig: pytest.Config) -> Config:
    from gradprobe.config import nearest

    try:
        return nearest(pytestconfig.rootpath, shared=True)
    except UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


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
