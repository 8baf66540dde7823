"""Options shared by every test."""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Protocol

import pytest

# A worker of pytest-xdist has a core to itself, and so has each program that a test starts: more
# threads only wait for each other. Read by torch when it is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs that tests start buffer their output as they do for a user, whoever runs the tests.
os.environ.pop("PYTHONUNBUFFERED", None)


class Golden(Protocol):
    """Compares a text with a file under tests/golden, or rewrites the file."""

    def __call__(self, name: str, text: str) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite tests/golden from what is rendered now",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name, text)` asserts that tests/golden/NAME holds exactly `text`."""
    folder = Path(__file__).parent / "golden"

    def compare(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
        assert path.read_bytes().decode("utf-8") == text

    return compare


@pytest.fixture(autouse=True)
def _earlier_threads_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that an earlier test left (a browser's, a tracker's) touches no tensor of this one.

    Beside a thread each probe looks at all that is alive, which takes a second in a process of so
    many tests, and doubled their time. A thread that the test itself starts is seen as ever.
    """
    unseen_code = sys.modules.get("gradprobe.capture.unseen_code")
    if unseen_code is not None:
        earlier, asked = set(threading.enumerate()), unseen_code._is_harmless
        monkeypatch.setattr(
            unseen_code, "_is_harmless", lambda thread: thread in earlier or asked(thread)
        )


@pytest.fixture(autouse=True, scope="module")
def _what_is_there_stays() -> None:
    """Of a process of so many tests, what is alive is not gone through at each collection.

    Late in a run that took most of the time of what collects garbage, as programs' runs do.
    """
    gc.collect()
    gc.freeze()
