"""Runs of the cases, in children of a warm process, each made once in a session.

The workers of pytest-xdist each have a warm process, and share the answers in a folder.
"""

from __future__ import annotations

import hashlib
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
    """The warm process. `run(case, mode)` returns what nursery.py answers.

    `shared` is a folder for the answers, in which those of other warm processes are found too.
    """

    def __init__(self, shared: Path) -> None:
        self.shared = shared
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
            self.answers[case.name, mode] = json.loads(self._answer(json.dumps(request)))
        answer = self.answers[case.name, mode]
        if "failed" in answer:
            pytest.fail(f"{case.name} ({mode}): {answer['failed']}\n{answer['stderr'][-3000:]}")
        return answer

    def _answer(self, request: str) -> str:
        """What was answered to the same request before, by whichever warm process, or is now."""
        kept = self.shared / hashlib.sha256(request.encode()).hexdigest()
        if not kept.exists():
            assert self.process.stdin is not None
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            written = kept.with_suffix(f".{os.getpid()}")
            written.write_text(self._line(), encoding="utf-8")
            written.replace(kept)  # whole or not at all, for whoever looks meanwhile
        return kept.read_text(encoding="utf-8")

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """One warm process for the session."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers of this session
    shared = folder / "runs_of_cases"
    shared.mkdir(exist_ok=True)
    warm = Nursery(shared)
    yield warm
    warm.close()
