"""Imports one module of a package whose `__init__` wants what is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_WANTED = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


class _Absent(ModuleType):
    """Has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


def load_alone(name: str) -> None:
    """Import `package.module` with a package that is only a folder, and without torchvision."""
    if name in sys.modules:
        return
    package = name.partition(".")[0]
    spec = importlib.util.find_spec(package)
    assert spec is not None
    bare = sys.modules[package] = ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations or ())
    bare.__spec__ = spec
    stand_ins = _WANTED if importlib.util.find_spec("torchvision") is None else ()
    for wanted in stand_ins:
        module = sys.modules[wanted] = _Absent(wanted)
        module.__spec__, module.__path__ = ModuleSpec(wanted, None), []
    try:
        importlib.import_module(name)
    finally:
        for wanted in stand_ins:  # nobody else must find them
            del sys.modules[wanted]
