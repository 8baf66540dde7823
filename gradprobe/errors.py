"""Every exception that gradprobe raises on purpose.

    GradprobeError
    ├─ UsageError            the caller asked for something that cannot be; exit code 2
    │  ├─ UnknownFormat      a format or file suffix that no renderer has
    │  ├─ CannotWrite        an output file that the file system refuses
    │  ├─ CannotRead         a report that cannot be read, or is no report
    │  ├─ BadTarget          a script, module or callable that cannot be loaded
    │  ├─ BadConfig          a configuration file that cannot be read, or a wrong key or value in it
    │  ├─ UnknownName        a leaf, root or rule name that does not exist; says the nearest ones
    │  ├─ TooLarge           a drawing that the layout engine cannot finish
    │  ├─ NotTensors         something else than tensors to draw (also an AttributeError, TypeError)
    │  └─ NotParameters      names for what is no tensor (also an AssertionError, AttributeError)
    └─ GradientLost          an assertion on a report failed (also an AssertionError)

Every message is one line: what, where, what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path


class GradprobeError(Exception):
    """The base of all."""


class UsageError(GradprobeError):
    """The caller asked for something that cannot be."""


class UnknownFormat(UsageError):
    """A format or file suffix that no renderer has."""

    def __init__(self, given: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown format {given!r}: choose one of {', '.join(known)}")


class CannotWrite(UsageError):
    """An output file that the file system refuses."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"cannot write {path}: {why}; choose another path")


class CannotRead(UsageError):
    """A report file that cannot be read or is no report."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"cannot read {path}: {why}")


class BadTarget(UsageError):
    """A script, module or callable that cannot be loaded."""


class BadConfig(UsageError):
    """A configuration file that cannot be read, or that holds a key or a value that cannot be."""

    def __init__(self, file: Path | str, why: str) -> None:
        super().__init__(f"{file}: {why}")


class UnknownName(UsageError):
    """A name that does not exist among the known ones; the message holds the nearest."""

    def __init__(self, what: str, given: str, known: Sequence[str]) -> None:
        near = get_close_matches(given, known, n=3) or list(known[:5])
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"no {what} named {given!r} was seen{hint}")


class TooLarge(UsageError):
    """A drawing that the layout engine could not finish."""


class NotTensors(UsageError, AttributeError, TypeError):
    """Something else than tensors was to be drawn; the built-in ones are torchviz's."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"cannot draw the graph of a {type(given).__name__}: "
            "make_dot takes a tensor, or a tuple or list of tensors"
        )


class NotParameters(UsageError, AssertionError, AttributeError):
    """Names were given to what is no tensor; the built-in ones are torchviz's."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: make_dot takes a mapping from names to tensors")


class GradientLost(GradprobeError, AssertionError):
    """An assertion failed: the message is the diagnosis."""
