"""Observe, never alter: a run under the probe is the run without it, in all that it can see."""

from __future__ import annotations

import pytest

from tests.laws.cases import Case, everything
from tests.laws.conftest import Nursery


@pytest.mark.parametrize("case", everything(), ids=lambda case: case.name)
def test_a_probed_run_is_the_plain_run(nursery: Nursery, case: Case) -> None:
    plain = nursery.run(case, "plain")
    probed = nursery.run(case, "probed")
    for part, expected in plain.items():
        assert probed[part] == expected, f"{part} differs under the probe"
