"""Functions that would drop a lineage, replaced while values are followed.

NumPy's functions that make arrays, `math`, the built-in `sum`, and PIL's way from an array to an
image and back take any object and read it in C. Each replacement calls the original with plain
values. One that a module took by name (`from math import sqrt`) outlives the run: it then finds
nothing followed, and is the original.
"""

from __future__ import annotations

import builtins
import functools
import math
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from gradprobe.capture.host_array import called, watched
from gradprobe.capture.host_values import (
    NONE,
    Lineage,
    carry,
    followed,
    has_followed,
    lineage_of,
    names,
)
from gradprobe.capture.patches import Patches
from gradprobe.capture.torch_internals import not_scriptable, scriptable_as

_FROM_DATA = names(
    "array asarray asanyarray ascontiguousarray asfortranarray fromiter require asarray_chkfinite "
    "from_dlpack"
)
_EMPTY = names("zeros ones empty full zeros_like ones_like empty_like")
_DISPATCHED = type(np.mean)

# What came out of torch during a call: asked after it, of a mark taken before it.
Since = Callable[[int], Lineage]
Mark = Callable[[], int]


class HostPatches:
    """The replacements of one run. `mark` and `since` tell what left torch within a call."""

    def __init__(self, mark: Mark, since: Since) -> None:
        self.mark = mark
        self.since = since
        self.images = _Images()
        self._scriptable: list[Any] = []

    def install(self, patches: Patches) -> None:
        for name in _FROM_DATA:
            patches.attribute(np, name, self._from_data)
        for name in _EMPTY:
            patches.attribute(np, name, _watching)
        for name, function in list(vars(np).items()):
            if type(function) is _DISPATCHED:
                patches.attribute(np, name, self._dispatched)
        for name, function in list(vars(math).items()):
            if callable(function) and not name.startswith("_"):
                patches.attribute(math, name, self._number)
        patches.attribute(builtins, "sum", _sum)
        self.met(patches)

    def met(self, patches: Patches) -> None:
        """PIL may be imported later than the run begins."""
        module = sys.modules.get("PIL.Image")
        if module is not None and not self.images.installed and "fromarray" in vars(module):
            self.images.install(patches, module)

    def remove(self) -> None:
        """Let go of the run: a module may have taken a replacement by name."""
        for function in self._scriptable:
            not_scriptable(function)
        self._scriptable.clear()
        self.mark, self.since = lambda: 0, lambda _: NONE

    def _from_data(self, original: Any) -> Any:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            mark = self.mark()
            of_image = self.images.lineage_of(args[0]) if args and self.images.known else NONE
            return carry(original, args, kwargs, lambda: self.since(mark) | of_image)

        return call

    def _dispatched(self, original: Any) -> Any:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            mark = self.mark()
            if has_followed(args) or has_followed(kwargs):
                return called(original, args, kwargs, lambda: self.since(mark))
            result = original(*args, **kwargs)
            came = self.since(mark)
            return followed(result, came) if came else result

        return call

    def _number(self, original: Any) -> Any:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            mark = self.mark()
            result = original(*args, **kwargs)
            lineage = lineage_of(args) | self.since(mark)
            return followed(result, lineage) if lineage else result

        scriptable_as(call, original)
        self._scriptable.append(call)
        return call


def _watching(original: Any) -> Any:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if has_followed(args) or has_followed(kwargs):
            return called(original, args, kwargs)
        return watched(original(*args, **kwargs))

    return call


def _sum(original: Any) -> Any:
    @functools.wraps(original)
    def sum(iterable: Any, /, start: Any = 0) -> Any:
        # Plain floats the built-in adds up more exactly (Python 3.12): it has to be given such.
        items = list(iterable)
        if has_followed(items) and not any(isinstance(item, Tensor) for item in items):
            return carry(original, (items, start))
        return original(items, start)

    return sum


class _Images:
    """PIL's images that were made of followed arrays, and those made of such."""

    def __init__(self) -> None:
        self.installed = False
        self.known: dict[int, tuple[weakref.ref[Any], Lineage]] = {}

    def install(self, patches: Patches, module: Any) -> None:
        self.installed = True
        patches.attribute(module, "fromarray", self._from_array)
        if hasattr(module.Image, "_new"):  # by which each method makes the image it returns
            patches.method(module.Image, "_new", self._from_image)

    def lineage_of(self, thing: Any) -> Lineage:
        known = self.known.get(id(thing))
        return NONE if known is None or known[0]() is not thing else known[1]

    def _remember(self, image: Any, lineage: Lineage) -> Any:
        if lineage:
            key = id(image)
            self.known[key] = weakref.ref(image, lambda _: self.known.pop(key, None)), lineage
        return image

    def _from_array(self, original: Any) -> Any:
        @functools.wraps(original)
        def fromarray(obj: Any, *args: Any, **kwargs: Any) -> Any:
            plain = obj.plain() if has_followed(obj) else obj
            return self._remember(original(plain, *args, **kwargs), lineage_of(obj))

        return fromarray

    def _from_image(self, original: Any) -> Any:
        @functools.wraps(original)
        def _new(image: Any, *args: Any, **kwargs: Any) -> Any:
            return self._remember(original(image, *args, **kwargs), self.lineage_of(image))

        return _new
