"""Numbers that remember by which exits their values left torch: a float, and NumPy's floats.

They are floats to everything that asks, are shown, hashed and pickled as plain ones, and do the
arithmetic of plain ones. An integer or a bool made of them is plain: it has no gradient to lose.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gradprobe.capture.host_values import Followed, Lineage, Wrap, carry, followed, names

_BINARY = names("add sub mul truediv floordiv mod pow")
_UNARY = names("neg pos abs")
_NUMBERS = (int, float, complex, np.generic, np.ndarray)
_METHODS = names(
    "item tolist astype round clip mean max min sum prod copy conj conjugate squeeze reshape ravel "
    "flatten repeat transpose"
)


def _binary(name: str, reflected: bool) -> Callable[[Any, Any], Any]:
    apply = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented  # torch takes the number itself, and sees it
        if not isinstance(other, _NUMBERS):
            own = f"__{'r' if reflected else ''}{name}__"
            return getattr(self.plain(), own)(other)
        return carry(apply, (other, self) if reflected else (self, other))

    return method


def _divmod(reflected: bool) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, _NUMBERS):
            return NotImplemented
        return carry(divmod, (other, self) if reflected else (self, other))

    return method


def _unary(name: str) -> Callable[[Any], Any]:
    apply = getattr(operator, name)

    def method(self: Any) -> Any:
        return followed(apply(self.plain()), self.lineage)

    return method


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return carry(
            lambda own, *rest, **named: getattr(own, name)(*rest, **named), (self, *args), kwargs
        )

    return method


def _round(self: Any, ndigits: Any = None) -> Any:
    return followed(round(self.plain(), ndigits), self.lineage)


def _ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if ufunc is np.power and method == "__call__" and not kwargs and _are_scalars(inputs):
        # `scalar ** number` comes here too, and NumPy raises scalars in another way than arrays,
        # which on some processors differs in the last bit.
        return carry(operator.pow, inputs)
    return carry(getattr(ufunc, method), inputs, kwargs)


def _are_scalars(inputs: Sequence[Any]) -> bool:
    """Whether one at least is NumPy's, and none an array."""
    return any(isinstance(x, np.generic) for x in inputs) and not any(
        isinstance(x, np.ndarray) for x in inputs
    )


def _function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return carry(function, args, kwargs)


def _itself(self: Any, *_: Any) -> Any:
    return self


def _arithmetic() -> dict[str, Any]:
    methods: dict[str, Any] = {}
    for name in _BINARY:
        methods[f"__{name}__"] = _binary(name, reflected=False)
        methods[f"__r{name}__"] = _binary(name, reflected=True)
    methods |= {f"__{name}__": _unary(name) for name in _UNARY}
    methods |= {
        "__divmod__": _divmod(reflected=False),
        "__rdivmod__": _divmod(reflected=True),
        "__round__": _round,
        "__array_ufunc__": _ufunc,
        "__array_function__": _function,
        "__copy__": _itself,
        "__deepcopy__": _itself,
    }
    return methods


def _number_type(base: type, names: dict[str, Any]) -> type:
    """A subclass of `base` that is shown by its name."""
    made = type(base.__name__, (base, Followed), {**_arithmetic(), **names})
    made.__module__ = base.__module__
    return made


def _plain_float(self: Any) -> float:
    return float(self)


FollowedFloat: Any = _number_type(
    float,
    {
        "__slots__": ("lineage",),
        "plain": _plain_float,
        "__reduce__": lambda self: (float, (float(self),)),
    },
)


def _scalar_type(base: Any) -> Any:
    def plain(self: Any) -> Any:
        return base(self)

    methods = {name: _forward(name) for name in _METHODS if hasattr(base, name)}
    own = {"plain": plain, "__reduce__": lambda self: plain(self).__reduce__()}
    return _number_type(base, {**methods, **own})


def _wrap(kind: Any) -> Wrap:
    def wrap(number: Any, lineage: Lineage, beside: Sequence[Any]) -> Any:
        if not lineage:
            return number
        made = kind.__new__(kind, number)
        made.lineage = lineage
        return made

    return wrap


# By type of number, what makes it one that is followed.
WRAPS: dict[type, Wrap] = {float: _wrap(FollowedFloat)}
WRAPS |= {
    base: _wrap(_scalar_type(base)) for base in (np.float16, np.float32, np.float64, np.longdouble)
}
