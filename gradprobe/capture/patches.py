"""Attributes that are replaced while a probe is active, and put back exactly as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_MISSING: Any = object()


class Patches:
    """A list of replaced attributes; `undo` restores them in reverse order."""

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def attribute(self, owner: Any, name: str, wrap: Wrap) -> None:
        """Replace `owner.name` by `wrap(original)`."""
        self._set(owner, name, wrap(getattr(owner, name)))

    def method(self, owner: type, name: str, wrap: Wrap) -> None:
        """Replace a plain method of a class."""
        self._set(owner, name, wrap(getattr(owner, name)))

    def class_method(self, owner: type, name: str, wrap: Wrap) -> None:
        """Replace a classmethod; `wrap` gets the plain function, which takes the class first."""
        self._set(owner, name, classmethod(wrap(vars(owner)[name].__func__)))

    def static_method(self, owner: type, name: str, wrap: Wrap) -> None:
        """Replace a staticmethod, own or inherited."""
        self._set(owner, name, staticmethod(wrap(getattr(owner, name))))

    def constructor(self, owner: type, wrap: Wrap) -> None:
        """Replace `__new__`."""
        self._set(owner, "__new__", staticmethod(wrap(owner.__new__)))

    def _set(self, owner: Any, name: str, replacement: Any) -> None:
        self._undo.append((owner, name, vars(owner).get(name, _MISSING)))
        setattr(owner, name, replacement)

    def undo(self) -> None:
        while self._undo:
            owner, name, original = self._undo.pop()
            if original is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
