"""Edits of a program's text that keep every line where it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A piece of text as `ast` places it: lines from 1, columns in bytes of UTF-8."""

    line: int
    col: int
    end_line: int
    end_col: int


class Text:
    """The bytes of a program, and where its lines begin."""

    def __init__(self, text: str) -> None:
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def offsets(self, span: Span) -> tuple[int, int]:
        return (
            self._starts[span.line - 1] + span.col,
            self._starts[span.end_line - 1] + span.end_col,
        )

    def at(self, span: Span) -> str:
        begin, end = self.offsets(span)
        return self._bytes[begin:end].decode()

    def replaced(self, edits: Iterable[tuple[Span, str]]) -> str:
        """The text with each span replaced. The spans do not overlap."""
        changed = self._bytes
        for span, new in sorted(edits, reverse=True):
            begin, end = self.offsets(span)
            changed = changed[:begin] + new.encode() + changed[end:]
        return changed.decode()
