"""The self-test passes here, in both modes and languages."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("mode", [[], ["--step-noise"]])
def test_gradient_flows_on_this_machine(command: Run, mode: list[str], lang: str) -> None:
    done = command("selftest", *mode, "--lang", lang)
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = [line[:2] for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert numbers == ["1.", "2.", "3.", "4.", "5."]
