"""Arrays that remember by which exits their values left torch.

What is known is known of memory: an array and the views of it share one note, and a write through
any of them is a write to all. Arrays of bools carry nothing: a mask only selects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradprobe.capture.host_values import (
    NONE,
    Followed,
    Lineage,
    Wrap,
    carry,
    followed,
    lineage_of,
    names,
)

_CARRYING = "fciu"  # kinds of dtypes: floats, complex numbers, integers
_SHAPE_ONLY = frozenset({"zeros_like", "ones_like", "empty_like"})
# `view` may leave for the plain type, which is how it is asked for here; the rest give no values,
# or need the memory's owner.
_UNTOUCHED = names(
    "view tobytes tofile dump dumps setflags resize to_device getfield setfield byteswap"
)
_overlap = np.may_share_memory  # held: the name in numpy is replaced while values are followed


class _Note:
    """The lineage of what lies in one piece of memory."""

    __slots__ = ("lineage",)

    def __init__(self, lineage: Lineage = NONE) -> None:
        self.lineage = lineage


class FollowedArray(np.ndarray, Followed):
    """An ndarray to everything that asks; shown, copied and pickled as a plain one."""

    note: _Note

    def __array_finalize__(self, base: Any) -> None:
        self.note = base.note if isinstance(base, FollowedArray) else _Note()

    @property
    def lineage(self) -> Lineage:
        return self.note.lineage

    def plain(self) -> Any:
        return self.view(np.ndarray)

    def receives(self, lineage: Lineage) -> None:
        """Something with this lineage was written here."""
        if lineage:
            self.note.lineage |= lineage

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return carry(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return called(function, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        plain = self.plain()
        return followed(plain[_index(key)], self.lineage, [self])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.plain()[_index(key)] = value.plain() if isinstance(value, Followed) else value
        self.receives(lineage_of(value))

    def __repr__(self) -> str:
        return repr(self.plain())

    def __str__(self) -> str:
        return str(self.plain())

    def __format__(self, spec: str) -> str:
        return format(self.plain(), spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.plain().__reduce_ex__(protocol)

    def __reduce__(self) -> Any:
        return self.plain().__reduce__()


FollowedArray.__name__ = FollowedArray.__qualname__ = "ndarray"
FollowedArray.__module__ = "numpy"


def _index(key: Any) -> Any:
    if isinstance(key, Followed):
        return key.plain()
    if isinstance(key, tuple):
        return tuple(map(_index, key))
    return key


def called(function: Any, args: Sequence[Any], kwargs: Any, more: Any = None) -> Any:
    """A function of numpy's, of followed values: what it makes of their shape alone has none."""
    if getattr(function, "__name__", "") not in _SHAPE_ONLY:
        return carry(function, args, kwargs, more)
    made = carry(function, args, kwargs)
    return watched(made.plain()) if isinstance(made, FollowedArray) else made


def _method(name: str) -> Callable[..., Any]:
    plain = getattr(np.ndarray, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return carry(plain, (self, *args), kwargs)

    method.__name__, method.__doc__ = name, plain.__doc__
    return method


for _name, _member in list(vars(np.ndarray).items()):
    if callable(_member) and not _name.startswith("_") and _name not in _UNTOUCHED:
        setattr(FollowedArray, _name, _method(_name))


def watched(array: Any) -> Any:
    """A new array into which nothing has come yet, so that it is seen when something does."""
    if type(array) is not np.ndarray or array.dtype.kind not in _CARRYING:
        return array
    return array.view(FollowedArray)


def _wrap(array: Any, lineage: Lineage, beside: Sequence[Any]) -> Any:
    if array.dtype.kind not in _CARRYING:
        return array
    near = next((one for one in beside if _overlap(array, one.plain())), None)
    if near is None and not lineage:
        return array
    made = array.view(FollowedArray)
    made.note = _Note(lineage) if near is None else near.note
    return made


WRAPS: dict[type, Wrap] = {np.ndarray: _wrap}
