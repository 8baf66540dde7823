"""A terminal to run the command in: what a person saw there, screen and scrollback."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyte

# The command, telling of progress from the first op on.
_AT_ONCE = """
import sys
from gradprobe.records import progress
progress.AFTER, progress.EVERY = 0.0, 0.002
from gradprobe.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Screen:
    """An emulated terminal."""

    def __init__(self, rows: int, columns: int) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000)
        self.stream = pyte.ByteStream(self.screen)

    def feed(self, data: bytes) -> None:
        self.stream.feed(data)

    @property
    def rows(self) -> list[str]:
        # Not `display`: that fails where half of a wide character was written over.
        return [self._told(self.screen.buffer[row]) for row in range(self.screen.lines)]

    def _told(self, line: Mapping[int, pyte.screens.Char]) -> str:
        return "".join(line[c].data for c in range(self.screen.columns)).rstrip()

    @property
    def text(self) -> list[str]:
        """All lines, those that have scrolled away too, without blank ones at the end."""
        lines = [*map(self._told, self.screen.history.top), *self.rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines


@dataclass
class Seen:
    """`bottom`: all that stood in the lowest row as a line of gradprobe's."""

    code: int
    text: list[str]
    bottom: list[str] = field(default_factory=list)
    sent: bytes = b""


def in_terminal(*arguments: str, rows: int = 24, columns: int = 80, **environment: str) -> Seen:
    """Run `gradprobe` with its three streams on a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    names = {"NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    child = subprocess.Popen(
        # `setsid --ctty`, in Python: the terminal is that of the session, as of a shell's.
        [sys.executable, "-c", _OF_SESSION + _AT_ONCE, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**kept, "TERM": "xterm-256color", **environment},
    )
    os.close(slave)
    sent = b""
    while data := _read(master):
        sent += data
    os.close(master)
    screen = Screen(rows, columns)
    screen.feed(sent)
    lowest = rf"\x1b\[{rows};1H\x1b\[2K(?:\x1b\[2m)?(gradprobe: [^\x1b]*)\x1b8"
    bottom = re.findall(lowest, sent.decode("utf-8", "replace"))
    return Seen(child.wait(timeout=60), screen.text, bottom, sent)


_OF_SESSION = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # the last that wrote there is gone
        return b""
