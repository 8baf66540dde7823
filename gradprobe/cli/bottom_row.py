"""The lowest row of a terminal, kept apart from what a program prints above it.

A program prints whenever it likes: parts of lines, bars that it draws over, bytes from C. So
nothing may stand where it prints. As package managers do, the rows above the last are made a
scrolling region of their own (DECSTBM); the row below it is written with the cursor saved before
and restored after (DECSC, DECRC), its column, colours and all. Each change is one write.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO

from gradprobe.cli.streams import is_terminal

_SAVE, _RESTORE = "\x1b7", "\x1b8"
_MAKE_ROOM = "\x1bD\x1b[A"  # a row down, scrolling if there is none, and up again: column kept
_PLAIN, _CLEAR = "\x1b[0m", "\x1b[2K"
_LEAST_ROWS, _LEAST_COLUMNS = 4, 20
_DUMB = ("", "dumb", "unknown")


class BottomRow:
    """The row of the terminal behind `stream`; `open` only where there is one that can do it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.fd: int | None = None
        self.process = os.getpid()
        self._rows = 0  # of the terminal, while the last one is ours
        if os.name == "posix" and os.environ.get("TERM", "") not in _DUMB and is_terminal(stream):
            with suppress(AttributeError, OSError, ValueError):
                self.fd = os.dup(stream.fileno()) if stream is not None else None

    @property
    def open(self) -> bool:
        return self.fd is not None

    def width(self) -> int:
        """Columns that can be written; 0 where nothing can be now.

        Not by a process that the program forked, not while a shell's user works in front of us,
        and not in a window of a few rows.
        """
        if self.fd is None or os.getpid() != self.process:
            return 0
        try:
            if os.tcgetpgrp(self.fd) != os.getpgrp():
                return 0
            columns, rows = os.get_terminal_size(self.fd)
        except OSError:  # no terminal of this session, or one that is gone
            return 0
        return columns if rows >= _LEAST_ROWS and columns >= _LEAST_COLUMNS else 0

    def show(self, line: str, style: str = "") -> None:
        """Write `line`, of no more cells than `width`; `style` is an escape sequence or nothing."""
        if self.fd is None or not self.width():
            return
        rows = os.get_terminal_size(self.fd).lines
        start = "" if self._rows else _MAKE_ROOM
        left = f"\x1b[{self._rows};1H{_CLEAR}" if self._rows not in (0, rows) else ""
        # The region is set each time: a program that ran in front may have set its own.
        self._rows = rows
        self._write(
            f"{start}{_SAVE}{_PLAIN}{left}\x1b[1;{rows - 1}r"
            f"\x1b[{rows};1H{_CLEAR}{style}{line}{_RESTORE}"
        )

    def clear(self) -> None:
        """Give the row back, empty; the cursor stays where the program left it."""
        if self._rows and os.getpid() == self.process:
            rows, self._rows = self._rows, 0
            self._write(f"{_SAVE}{_PLAIN}\x1b[r\x1b[{rows};1H{_CLEAR}{_RESTORE}")

    def close(self) -> None:
        """Clear it for good."""
        self.clear()
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        with suppress(OSError):  # nobody looks at it any more
            while data and self.fd is not None:
                data = data[os.write(self.fd, data) :]
