"""The lowest row of a terminal: what a program prints above it is where it would have been."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradprobe.cli.bottom_row import BottomRow
from tests.cli.terminal import Screen

ROWS, COLUMNS = 8, 30
# What programs write, each in one go.
PIECES = (
    "word ",
    "a line\n",
    "\n",
    "\r",
    "\x1b[31mred ",
    "\x1b[0m",
    "\rbar 1",
    "\n\rsecond bar\x1b[A",  # two bars, as tqdm draws them
    "\x1b[1A\x1b[2K",  # one up and clear, as rich does
    "x" * (COLUMNS + 5),
    "\t",
    "\u65e5\u672c",
)


class Terminal:
    """A terminal without a process: this one writes, and reads what it wrote."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.stream: TextIO = open(slave, "w", encoding="utf-8")  # noqa: SIM115
        self.screen = Screen(ROWS, COLUMNS)
        self.resize(ROWS)

    def resize(self, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        self.screen.screen.resize(rows, COLUMNS)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def read(self) -> Screen:
        os.set_blocking(self.master, False)
        try:
            while True:
                self.screen.feed(os.read(self.master, 65536))
        except BlockingIOError:
            return self.screen

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)


@pytest.fixture
def foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())


@pytest.fixture
def terminal(foreground: None) -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def printed(pieces: list[str], shown_after: set[int]) -> tuple[list[str], tuple[int, int], str]:
    """The text at the end, where the cursor was from the last line on, and its colour."""
    terminal = Terminal()
    try:
        row = BottomRow(terminal.stream)
        for number, piece in enumerate(pieces):
            terminal.write(piece)
            if number in shown_after:
                row.show(f"shown {number}", "\x1b[2m")
                assert terminal.read().rows[-1] == f"shown {number}"
        row.close()
        screen = terminal.read()
        cursor = screen.screen.cursor
        below = len(screen.rows) - cursor.y
        text = screen.text
        # At the right edge pyte forgets that the next character wraps, once a cursor is restored.
        x = min(cursor.x, screen.screen.columns - 1)
        return text, (x, len(text) - len(screen.rows) + below), cursor.attrs.fg
    finally:
        terminal.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sets(st.integers(0, 29)))
@example(
    ["\n\rsecond bar\x1b[A", *["\u65e5\u672c"] * 2, "word ", "\x1b[31mred ", "\u65e5\u672c"], {0}
)
@example(["\n\rsecond bar\x1b[A", "\u65e5\u672c", "\rbar 1", "a line\n"], {1})
def test_text_colour_and_column_are_those_without_the_row(
    pieces: list[str], shown_after: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())
        # A program that goes up may not go further than the row leaves it: one row less.
        shown, (x, _), color = printed(pieces, shown_after)
        plain, (x_plain, _), color_plain = printed(pieces, set())
    assert (shown, x, color) == (plain, x_plain, color_plain)


def test_the_row_follows_the_window(terminal: Terminal) -> None:
    row = BottomRow(terminal.stream)
    terminal.write("one\ntwo")
    row.show("small")
    terminal.read()
    terminal.resize(12)
    row.show("large")
    assert terminal.read().rows == ["one", "two", *[""] * 9, "large"]
    row.close()
    assert terminal.read().rows == ["one", "two", *[""] * 10]


def test_it_is_not_written_in_the_background_or_by_a_forked_process(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = BottomRow(terminal.stream)
    with monkeypatch.context() as patch:
        patch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
        row.show("behind")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: row.process + 1)
        row.show("forked")
        row.clear()
    assert terminal.read().text == []
    row.close()


def test_what_is_no_terminal_has_no_row(foreground: None) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        row = BottomRow(stream)
        row.show("nothing")
        row.close()
        assert not row.open
    assert os.read(reading, 10) == b""
    os.close(reading)
    assert not BottomRow(None).open


def test_a_terminal_that_is_gone_is_no_fault(terminal: Terminal) -> None:
    row = BottomRow(terminal.stream)
    row.show("shown")
    os.close(terminal.master)
    row.show("nobody sees it")
    row.close()
    terminal.master = os.open(os.devnull, os.O_RDONLY)
