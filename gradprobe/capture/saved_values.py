"""What the nodes of a live autograd graph saved, by the names that torch gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

PREFIX = "_saved_"
UNREADABLE = "[no longer readable]"


class Unreadable:
    """In the place of a value that torch refuses: it was freed by a backward, or overwritten."""

    def __str__(self) -> str:
        return UNREADABLE


class SavedValues:
    """Reads saved values; the names that nodes of one type share are looked up once."""

    def __init__(self) -> None:
        self._names: dict[type, list[str]] = {}

    def named(self, node: Any) -> list[tuple[str, Any]]:
        """Name and value of all that `node` shows as `_saved_NAME`, sorted by name."""
        names = self._of_type(type(node))
        # A custom Function may put attributes of its own on its node.
        own = [name for name in getattr(node, "__dict__", ()) if name.startswith(PREFIX)]
        if own:
            names = sorted({*names, *own})
        return [(name.removeprefix(PREFIX), _read(node, name)) for name in names]

    def _of_type(self, kind: type) -> list[str]:
        names = self._names.get(kind)
        if names is None:
            names = self._names[kind] = [name for name in dir(kind) if name.startswith(PREFIX)]
        return names


def custom(node: Any) -> tuple[Tensor, ...]:
    """The tensors that a custom Function saved; none of other nodes, and none once freed."""
    if not hasattr(type(node), "saved_tensors"):
        return ()
    saved = _read(node, "saved_tensors")
    if isinstance(saved, Unreadable):
        return ()
    return tuple(tensor for tensor in saved if isinstance(tensor, Tensor))


def tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a saved value, each with a name: NAME, or NAME[0], NAME[1] ... of a tuple."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, Tensor):
                yield f"{name}[{index}]", item


def words(value: Any) -> str:
    """A saved value in a table of attributes: tensors are only said to be there."""
    if isinstance(value, Tensor):
        return "[saved tensor]"
    if isinstance(value, tuple) and any(isinstance(item, Tensor) for item in value):
        return "[saved tensors]"
    return str(value)


def _read(node: Any, name: str) -> Any:
    try:
        return getattr(node, name)
    except RuntimeError:
        return Unreadable()
