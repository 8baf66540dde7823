"""Findings that the user accepts: they are shown all the same, marked, and do not count."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UnknownName, UsageError
from gradprobe.records.report import Finding

FORM = "CODE, CODE:FILE or CODE:FILE:FUNCTION"
EXAMPLE = "GP101:my_sampler/steps.py:Sampler.step"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Findings of `code`, anywhere, or in the file or function that the report names as the cause.

    `place` is the ending of a path, from a folder on; `function` a qualified name, without the
    `<locals>` that Python writes into it. `shared`: it stands where many runs read it, so that one
    run in which it matched nothing says little.
    """

    code: str
    place: str | None = None
    function: str | None = None
    shared: bool = False

    def __str__(self) -> str:
        return ":".join(part for part in (self.code, self.place, self.function) if part)

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is meant: by its cause, or by where gradient was lost without one."""
        if finding.code != self.code:
            return False
        cause = finding.cause
        file = f"/{cause.file.replace(os.sep, '/')}"
        if self.place is not None and not file.endswith(f"/{self.place}"):
            return False
        return self.function in (None, cause.function.replace("<locals>.", ""))


def parse(given: str | Sequence[str | Allowed]) -> tuple[Allowed, ...]:
    """The entries that a user wrote as `CODE`, `CODE:FILE` or `CODE:FILE:FUNCTION`, each once.

    Raises `UsageError` for another form and `UnknownName` for a code that no rule has.
    """
    entries = [given] if isinstance(given, str) else given
    return tuple(dict.fromkeys(e if isinstance(e, Allowed) else _parsed(e) for e in entries))


def _parsed(text: str) -> Allowed:
    code, colon, rest = text.strip().partition(":")
    code = code.upper()
    place, function = rest, ""
    if rest and not rest.endswith(".py"):
        place, _, function = rest.rpartition(":")
        if function.isdigit():
            raise UsageError(
                f"allow entry {text!r} names a line, and lines move: name the function, "
                f"for example {EXAMPLE}"
            )
    place = place.replace(os.sep, "/").removeprefix("./")
    fits = not colon or place.removesuffix(".py") not in ("", place)
    if not fits or not _is_qualified(function):
        raise UsageError(f"allow entry {text!r} is not {FORM}; for example {EXAMPLE}")
    if code not in RULES:
        raise UnknownName("rule", code, sorted(RULES))
    return Allowed(code, place or None, function.replace("<locals>.", "") or None)


def stale(findings: Sequence[Finding], allowed: Sequence[Allowed]) -> Iterator[str]:
    """A sentence for each entry that matched no finding, and that this run alone has to answer."""
    for entry in allowed:
        if not entry.shared and not any(entry.covers(finding) for finding in findings):
            yield f"allow entry {entry}: no such finding in this run"


def _is_qualified(function: str) -> bool:
    parts = function.split(".") if function else []
    return all(p.isidentifier() or (p.startswith("<") and p.endswith(">")) for p in parts)
