"""A library's module whose text was changed: one function runs the new code for a while."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


def path_of(module: str) -> Path:
    file = import_module(module).__file__
    assert file is not None
    return Path(file)


def text_of(module: str) -> str:
    return path_of(module).read_text(encoding="utf-8")


@contextmanager
def overlaid(module: str, text: str, file: Path, functions: set[str]) -> Iterator[None]:
    """Functions (by qualified name) of `module` run the code of `text`, which is written to `file`.

    Every reference to such a function sees the change, since it is the function that changes. A
    function that is defined inside of another one comes with it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    codes = {c.co_qualname: c for c in _codes(compile(text, str(file), "exec", dont_inherit=True))}
    before: list[tuple[FunctionType, CodeType]] = []
    try:
        for name in sorted({function.split(".<locals>.")[0] for function in functions}):
            function = _function(import_module(module), name)
            before.append((function, function.__code__))
            function.__code__ = codes[name]
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _function(module: Any, name: str) -> FunctionType:
    found = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
        if isinstance(found, (staticmethod, classmethod)):
            found = found.__func__
        elif isinstance(found, property):
            found = found.fget
        found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise TypeError(f"{module.__name__}:{name} is no function written in Python")
    return found
