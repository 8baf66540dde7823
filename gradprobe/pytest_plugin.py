"""The pytest plugin: a fixture that traces the gradient of a test.

    def test_my_sampler(gradprobe):
        with gradprobe.start() as probe:
            z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
            sample(model, z0).sum().backward()
        probe.assert_flows("z0")

pytest loads this module in every run, so it imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gradprobe.testing import ProbedTest


@pytest.fixture(name="gradprobe")
def _gradprobe(tmp_path: Path) -> Iterator[ProbedTest]:
    """A probe for this test: `start()`, then `records`, `report()`, `assert_flows(leaf, root)`.

    It is undone at the end of the test, also of one that fails. The picture of a lost gradient is
    written to the test's `tmp_path`.
    """
    probed = ProbedTest(tmp_path)
    yield probed
    probed.stop()
