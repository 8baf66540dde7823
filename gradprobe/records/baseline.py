"""The baseline: findings that a project had when it took up gradprobe, accepted as they are.

A file of its own, `gradprobe.baseline/1`. A finding is known by its code and by the file, function
and text of its line, never by a number that moves when something is written above it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from gradprobe.errors import CannotRead, CannotWrite
from gradprobe.records.report import BY_CAUSE, SEVERITIES, Finding, Severity
from gradprobe.records.source import INSTALLED, Frame

SCHEMA = "gradprobe.baseline/1"


@dataclass(frozen=True, slots=True)
class Spot:
    """A line by what it says: its file, the qualified name of its function, and its text.

    `file` is relative to the folder of the baseline; of an installed package, to where that is
    installed, so that it is the same on every machine.
    """

    file: str
    function: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Findings of one code on lines that say the same in one function: how many, and how bad.

    `cause` is the line to blame; `lost` the one where gradient was lost, if that is another and
    each such line is a finding of its own.
    """

    code: str
    severity: Severity
    cause: Spot
    lost: Spot | None
    count: int = 1

    def __str__(self) -> str:
        return f"{self.code} in {self.cause}"

    @property
    def key(self) -> tuple[object, ...]:
        return self.code, self.cause, self.lost


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline file accepts. `shared`: many runs read it, so that one says little of it.

    One that is `new` is yet to be written: it accepts nothing, and asks for all there is.
    """

    path: str
    entries: tuple[Entry, ...] = ()
    shared: bool = False
    new: bool = False

    def entry_of(self, finding: Finding) -> Entry:
        """The finding as an entry of this baseline would name it."""
        lost = None
        if finding.code not in BY_CAUSE and finding.cause != finding.at:
            lost = self._spot(finding.at)
        return Entry(finding.code, finding.severity, self._spot(finding.cause), lost)

    def of(self, findings: Sequence[Finding]) -> Baseline:
        """A baseline at the same place that accepts exactly these."""
        seen = [self.entry_of(finding) for finding in findings]
        counts = Counter(entry.key for entry in seen)
        worst: dict[tuple[object, ...], Entry] = {}
        for entry in sorted(seen, key=lambda entry: SEVERITIES.index(entry.severity)):
            worst.setdefault(entry.key, entry)
        entries = [
            Entry(e.code, e.severity, e.cause, e.lost, counts[key]) for key, e in worst.items()
        ]
        return Baseline(self.path, tuple(sorted(entries, key=_order)))

    def write(self) -> None:
        """Write the file, whole or not at all. Raises `CannotWrite`."""
        found = {"schema": SCHEMA, "findings": [_plain(entry) for entry in self.entries]}
        text = json.dumps(found, indent=2) + "\n"
        path, half = Path(self.path), ""
        try:
            with NamedTemporaryFile(
                "w", encoding="utf-8", newline="", dir=path.parent, prefix=".", delete=False
            ) as file:
                half = file.name
                file.write(text)
            os.chmod(half, path.stat().st_mode if path.exists() else 0o644)
            os.replace(half, path)
        except OSError as error:
            if half:
                Path(half).unlink(missing_ok=True)
            raise CannotWrite(path, error.strerror or str(error)) from error

    def _spot(self, frame: Frame) -> Spot:
        function = frame.function.replace("<locals>.", "")
        return Spot(self._named(frame.file), function, " ".join(frame.source.split()))

    def _named(self, file: str) -> str:
        plain = file.replace(os.sep, "/")
        for part in INSTALLED:
            if part in plain:
                return plain.rpartition(part)[2]
        if not os.path.isabs(file):  # no file: `<string>`
            return plain
        try:
            near = os.path.relpath(os.path.realpath(file), os.path.realpath(Path(self.path).parent))
        except (OSError, ValueError):  # another drive, a NUL in the name
            return plain
        return near.replace(os.sep, "/")


def read(path: str | Path) -> Baseline:
    """The baseline at `path`. Raises `CannotRead` with one line that says what is wrong."""
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise CannotRead(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise CannotRead(path, f"it is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise CannotRead(path, f"it is no baseline: its schema is not {SCHEMA!r}")
    found = data.get("findings")
    if not isinstance(found, list):
        raise CannotRead(path, "it is no baseline: findings should be a list")
    try:
        entries = tuple(_entry(one, f"findings[{number}]") for number, one in enumerate(found))
    except ValueError as error:
        raise CannotRead(path, f"it is no baseline: {error}") from None
    return Baseline(os.path.abspath(path), entries)


def _plain(entry: Entry) -> dict[str, object]:
    plain: dict[str, object] = {"code": entry.code, "severity": entry.severity}
    plain |= _spelt(entry.cause)
    if entry.lost is not None:
        plain["lost"] = _spelt(entry.lost)
    return {**plain, "count": entry.count}


def _spelt(spot: Spot) -> dict[str, object]:
    return {"file": spot.file, "function": spot.function, "source": spot.source}


def _entry(data: object, where: str) -> Entry:
    code, severity = _text(data, "code", where), _text(data, "severity", where)
    word = next((known for known in SEVERITIES if known == severity), None)
    if word is None:
        raise ValueError(f"{where}.severity should be one of {', '.join(SEVERITIES)}")
    assert isinstance(data, Mapping)
    lost, count = data.get("lost"), data.get("count", 1)
    if type(count) is not int or count < 1:
        raise ValueError(f"{where}.count should be a whole number from 1 on")
    found = None if lost is None else _read_spot(lost, f"{where}.lost")
    return Entry(code, word, _read_spot(data, where), found, count)


def _read_spot(data: object, where: str) -> Spot:
    file, function, source = (_text(data, key, where) for key in ("file", "function", "source"))
    return Spot(file, function, source)


def _text(data: object, key: str, where: str) -> str:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise ValueError(f"{where} should have a string {key!r}")
    return value


def _order(entry: Entry) -> tuple[str, ...]:
    lost = entry.lost or entry.cause
    spots = (entry.cause, lost)
    return (entry.code, *(text for s in spots for text in (s.file, s.function, s.source)))


def names(entries: Sequence[Entry], most: int = 3) -> Iterator[str]:
    """The first few entries by name, and how many more there are."""
    yield from map(str, entries[:most])
    if len(entries) > most:
        yield f"{len(entries) - most} more"
