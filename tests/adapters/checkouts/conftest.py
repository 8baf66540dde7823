"""Checkouts: sources that lie in a folder of their own, elsewhere at every test."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SOURCES = Path(__file__).with_name("sources")

Checkout = Callable[[str], ModuleType]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """`checkout("edm/generate.py")` copies the tree `edm` away and imports that file of it."""
    before = set(sys.modules)

    def load(file: str) -> ModuleType:
        tree, _, within = file.partition("/")
        place = tmp_path / "somebody" / "code" / tree
        if not place.exists():
            shutil.copytree(SOURCES / tree, place, ignore=shutil.ignore_patterns("__pycache__"))
            monkeypatch.syspath_prepend(place)
        path = place / within
        monkeypatch.syspath_prepend(path.parent)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
