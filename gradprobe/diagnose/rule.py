"""What a rule is: a page, two programs, and a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gradprobe.graph.view import Break, View
from gradprobe.records.report import Certainty, Severity
from gradprobe.records.source import Frame, Related


@dataclass(frozen=True, slots=True)
class Draft:
    """What one rule says of one break (or of the leaf itself, when `of` is None).

    `severity` None leaves it to the engine: an error when nothing reaches the leaf, else a warning.
    """

    message: str
    fix: str
    at: Frame
    of: Break | None = None
    op: int | None = None  # where there is an op but no break
    opened_by: Frame | None = None
    related: tuple[Related, ...] = ()
    severity: Severity | None = None
    certainty: Certainty = "proven"
    count: int = 1  # how often, where there is no break


class Rule(Protocol):
    """A module of `diagnose.rules`. Its docstring is the page that `gradprobe explain` prints.

    `BREAKS` is a program that loses gradient on the line marked `# <- CODE` (`# <- opens` marks the
    cause's own line where that is elsewhere); `CLEAN` is its healthy twin. `check` yields a draft
    for each break that this rule explains; the first rule in the table that explains one keeps it.
    """

    CODE: str
    NAME: str
    BREAKS: str
    CLEAN: str

    @staticmethod
    def check(view: View) -> Iterable[Draft]: ...
