"""A sampler library that lies in a folder of its own, and an adapter for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gradprobe import adapters
from gradprobe.capture.build import build
from gradprobe.capture.stage_selectors import Adapter, Clock, Selector
from gradprobe.probe import Probe
from gradprobe.records.trace import Trace
from tests.traced import marked

PACKAGE = "pretend_library"


class Library:
    """An installed package of one module, and what its adapter is."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / f"{PACKAGE}.py"
        self.text = text.lstrip("\n")
        self.path.write_text(self.text, encoding="utf-8")

    def load(self) -> Any:
        invalidate_caches()
        return __import__(PACKAGE)

    def line(self, mark: str) -> int:
        return marked(self.text, mark)


@contextmanager
def installed(folder: Path, text: str, adapter: Adapter | None) -> Iterator[Library]:
    """The library on the path, and its adapter registered; both gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        holder = ModuleType("pretend_adapter")
        if adapter is not None:
            vars(holder)["ADAPTER"] = adapter
        patch.setitem(sys.modules, "pretend_adapter", holder)
        registered: Any = adapters.packages._places()
        patch.setitem(registered, PACKAGE, "pretend_adapter:ADAPTER")
        yield Library(folder, text)
        sys.modules.pop(PACKAGE, None)


def selector(name: str, function: str, variable: str, **more: Any) -> Selector:
    return Selector(name, PACKAGE, function, variable, **more)


def clock(function: str, variable: str, **more: Any) -> Clock:
    return Clock(PACKAGE, function, variable, **more)


def traced(program: Callable[[], Any], **options: Any) -> Trace:
    """What a probe saw of a program."""
    with Probe(**options) as probe:
        program()
    return build(probe._recorder)
