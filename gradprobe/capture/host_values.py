"""Values outside torch that remember by which exits they left it, and functions on them.

A function gets the plain values, so that it does what it does without us; what it returns carries
the lineage of all that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final


class Origin:
    """One exit of a watched run.

    `number` is its index among the run's exits, -1 once it is forgotten; `run` tells the exits of
    one probe from another's, whose values may live on.
    """

    __slots__ = ("__weakref__", "number", "run")

    def __init__(self, number: int, run: object) -> None:
        self.number = number
        self.run = run


Lineage = frozenset[Origin]
NONE: Final[Lineage] = frozenset()

# How a result is made to carry a lineage: of the lineage, and of the followed arrays among what the
# function was given, whose memory the result may share.
Wrap = Callable[[Any, Lineage, Sequence[Any]], Any]
wraps: dict[type, Wrap] = {}  # by type of the result


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Followed:
    """A number or array with a `lineage`, and the `plain()` value that it stands for.

    Each subclass has both: a slot or an attribute, and a method without arguments.
    """

    __slots__ = ()

    lineage: Any
    plain: Any


def lineage_of(thing: Any) -> Lineage:
    """The exits that a value, or anything in (nested) containers, comes from."""
    if isinstance(thing, Followed):
        found: Lineage = thing.lineage
        return found
    kind = type(thing)
    if kind is list or kind is tuple:
        items: Any = thing
    elif kind is dict:
        items = thing.values()
    else:
        return NONE
    lineage = NONE
    for item in items:
        if type(item) is not float:
            found = lineage_of(item)
            if found and not found <= lineage:
                lineage |= found
    return lineage


def has_followed(thing: Any) -> bool:
    """Whether something followed is there, if only an array that nothing has come into yet."""
    if isinstance(thing, Followed):
        return True
    if type(thing) in (list, tuple):
        return any(has_followed(item) for item in thing)
    return type(thing) is dict and any(has_followed(item) for item in thing.values())


class Plain:
    """Makes arguments plain, and knows which followed array each plain one stands for."""

    __slots__ = ("arrays",)

    def __init__(self) -> None:
        self.arrays: dict[int, tuple[Any, Any]] = {}

    def of(self, thing: Any) -> Any:
        """The plain value; of a container with something followed in it, a plain copy."""
        if isinstance(thing, Followed):
            value = thing.plain()
            if hasattr(thing, "receives"):
                self.arrays[id(value)] = value, thing
            return value
        kind = type(thing)
        if kind in (list, tuple, dict) and has_followed(thing):
            if kind is dict:
                return {key: self.of(item) for key, item in thing.items()}
            return kind(self.of(item) for item in thing)
        return thing

    def stands_for(self, value: Any) -> Any:
        """The followed array that was given, where a function returns what it was given."""
        known = self.arrays.get(id(value))
        return None if known is None or known[0] is not value else known[1]

    def followed(self) -> Iterator[Any]:
        return (original for _, original in self.arrays.values())


def followed(result: Any, lineage: Lineage, beside: Sequence[Any] = ()) -> Any:
    """A result that carries a lineage; as it is where its type cannot."""
    wrap = wraps.get(type(result))
    if wrap is not None:
        return wrap(result, lineage, beside)
    if type(result) is list:
        result[:] = [followed(item, lineage, beside) for item in result]
    elif isinstance(result, tuple):
        items = [followed(item, lineage, beside) for item in result]
        make = tuple if type(result) is tuple else getattr(result, "_make", None)
        return result if make is None else make(items)
    return result


def carry(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    more: Callable[[], Lineage] | None = None,
) -> Any:
    """`function(*args, **kwargs)` on plain values, its result with the lineage of all of them.

    `more` is asked after the call for what came in by it. A function that returns None, or that
    was given `out`, has written into its first argument, or that.
    """
    kwargs = kwargs or {}
    plain = Plain()
    lineage = lineage_of(list(args)) | lineage_of(list(kwargs.values()))
    result = function(*map(plain.of, args), **{key: plain.of(x) for key, x in kwargs.items()})
    if more is not None:
        lineage |= more()
    out = kwargs.get("out", args[0] if args and result is None else None)
    for written in out if isinstance(out, tuple) else (out,):
        if isinstance(written, Followed) and hasattr(written, "receives"):
            written.receives(lineage)
    given = plain.stands_for(result)
    return followed(result, lineage, list(plain.followed())) if given is None else given
