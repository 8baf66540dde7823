"""Runs of the cases, in children of one warm process, each made once in a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.laws.cases import ROOT, Case


class Nursery:
    """The warm process. `run(case, mode)` returns what nursery.py answers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def run(self, case: Case, mode: str) -> dict[str, Any]:
        """Skips the test where a library is missing; fails it when the child died."""
        if case.missing:
            pytest.skip(f"needs {case.missing}: see requirements/samplers.txt")
        if (case.name, mode) not in self.answers:
            request = {
                "program": str(case.program),
                "args": list(case.args),
                "mode": mode,
                "truth": case.truth or {},
            }
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            self.answers[case.name, mode] = json.loads(self._line())
        answer = self.answers[case.name, mode]
        if "failed" in answer:
            pytest.fail(f"{case.name} ({mode}): {answer['failed']}\n{answer['stderr'][-3000:]}")
        return answer

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One warm process for the session."""
    warm = Nursery()
    yield warm
    warm.close()
