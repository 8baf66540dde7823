"""Libraries that import, for work that samplers do not do, what is not installed here."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Absent(ModuleType):
    """Has whatever is asked of it, and can be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return _Absent(f"{self.__name__}()")


@contextmanager
def without_torchvision() -> Iterator[None]:
    """Imports of torchvision succeed for a while. Others must not find the stand-ins later."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    if importlib.util.find_spec("torchvision") is not None:
        yield
        return
    for name in names:
        stand_in = _Absent(name)
        stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None)
        stand_in.__path__ = []
        sys.modules[name] = stand_in
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def load(name: str) -> ModuleType:
    """Import a module of a package that wants torchvision."""
    with without_torchvision():
        return importlib.import_module(name)


def load_alone(name: str) -> ModuleType:
    """Import `package.module` without running the package's `__init__`, which wants far more."""
    package = name.partition(".")[0]
    if package not in sys.modules:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        bare = ModuleType(package)
        bare.__path__ = list(spec.submodule_search_locations or ())
        bare.__spec__ = spec
        sys.modules[package] = bare
    return load(name)
