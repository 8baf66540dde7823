"""Where a finding is, as tools want it: paths below a root, lines and columns from 1."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote

from gradprobe.records.source import Frame


@dataclass(frozen=True, slots=True)
class Span:
    """A frame's lines and columns, from 1 and in order; the end column is exclusive."""

    line: int
    col: int
    end_line: int
    end_col: int


def span(frame: Frame) -> Span:
    """The frame's span; what is out of order, as in a file that changed, ends where it begins."""
    line, col = max(frame.line, 1), max(frame.col, 0) + 1
    end_line = max(frame.end_line, line)
    end_col = max(frame.end_col, 0) + 1
    return Span(line, col, end_line, max(end_col, col) if end_line == line else end_col)


def root_of(base: str | None) -> str:
    """What paths are relative to: `base`, or the current directory."""
    return os.path.abspath(base if base is not None else os.curdir)


def below(file: str, root: str) -> str | None:
    """The path of a file from `root` with `/` between its parts; None if it lies elsewhere."""
    try:
        path = PurePath(file).relative_to(root)
    except ValueError:
        return None
    return path.as_posix() if path.parts else None


def uri(file: str) -> str:
    """A path as a reference that RFC 3986 allows: relative ones stay relative."""
    reference = quote(PurePath(file).as_posix(), safe="/", errors="backslashreplace")
    return f"file://{reference}" if os.path.isabs(file) else reference


def encodable(text: str) -> str:
    """`text` without the lone surrogates of file names that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sentence(text: str) -> str:
    """`text` with a full stop, unless it ends in one or the like."""
    return text if text.rstrip().endswith((".", "!", "?", ":")) else f"{text.rstrip()}."
