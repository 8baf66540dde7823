"""Standard output and error, shared by the traced program and the report about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

import click

from gradprobe.errors import UsageError


@contextmanager
def report_stream() -> Iterator[TextIO]:
    """Standard output as it is now, whatever the program makes of `sys.stdout` or closes.

    A character that the output's encoding lacks is written as an escape: the report quotes source.
    """
    try:
        fd = os.dup(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # no stdout, or one without a file behind it
        yield sys.stdout or sys.stderr
        return
    with open(fd, "w", encoding=sys.stdout.encoding, errors="backslashreplace") as stream:
        yield stream


@contextmanager
def aside() -> Iterator[None]:
    """Send standard output to standard error for a while, also that of C code and children."""
    flush()
    try:
        fd, other = sys.stdout.fileno(), sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        with redirect_stdout(sys.stderr):
            yield
        return
    kept = os.dup(fd)
    os.dup2(other, fd)
    try:
        yield
    finally:
        flush()
        os.dup2(kept, fd)
        os.close(kept)


def put(made: bytes, stream: TextIO) -> None:
    """Write a report: text with a line end at its end, in the stream's encoding; an image as it is.

    Raises `UsageError` for an image where what stands for standard output takes text alone.
    """
    try:
        text = made.decode()
    except UnicodeDecodeError:  # as any PNG begins
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            raise UsageError(
                "standard output takes no image: write it to a file, as -o graph.png"
            ) from None
        stream.flush()
        buffer.write(made)
    else:
        stream.write(text if text.endswith("\n") else f"{text}\n")
    stream.flush()


def flush() -> None:
    """Flush what the program left in its buffers, so that the report comes after it.

    Where it put another stream in the place of standard output, the first one may hold text too.
    """
    streams = (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr)
    for stream in filter(None, streams):
        with suppress(AttributeError, OSError, ValueError):  # closed, or nobody reads it
            stream.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it; a stream that is closed or missing is no terminal."""
    with suppress(AttributeError, OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def forget_stdout() -> None:
    """The reader went away: nothing is left to say, also not by Python's own flush at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def complain(what: object, *, color: bool = False) -> None:
    """One line on standard error, whatever the message is made of; `color` makes it stand out."""
    line = f"gradprobe: {' '.join(str(what).split())}"
    with suppress(AttributeError, OSError, ValueError):
        print(click.style(line, fg="red", bold=True) if color else line, file=sys.stderr)
