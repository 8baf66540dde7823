"""Where a report goes: standard output in one format, and any number of files.

What can be refused is refused by `check`, before a program runs for hours.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TextIO

import click

from gradprobe.cli import streams
from gradprobe.cli.progress import NO_LINE, ProgressLine
from gradprobe.cli.streams import is_terminal
from gradprobe.errors import CannotWrite, UnknownFormat, UsageError
from gradprobe.records.report import Report
from gradprobe.registry import format_of, renderers

USAGE = 2  # exit code of a request that cannot be served
WIDEST = 120  # columns of text that the eye still follows

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for. `format` is for standard output; None prints nothing there.

    Names are relative to the directory where it was asked: a program may move elsewhere.
    """

    files: tuple[str, ...]
    format: str | None
    engine: str | None
    raw: bool
    color: str
    depth: str = "auto"
    focus: str | None = None
    base: str = field(default_factory=os.getcwd)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files as absolute paths."""
        return tuple(Path(self.base, name) for name in self.files)

    def check(self) -> None:
        """Raise `UsageError` for a format, a file or an engine that cannot be served."""
        if self.format is not None:
            _known(self.format, self.format)
        if self.format == "png" and is_terminal(sys.stdout):
            raise UsageError("a PNG is not for a terminal: write it to a file, as -o graph.png")
        for name, path in zip(self.files, self.paths, strict=True):
            _known(format_of(path.name), name)
            why = refusal(path)
            if why:
                raise CannotWrite(name, why)
        if self.engine == "dot" and shutil.which("dot") is None:
            raise UsageError("no 'dot' is on the PATH: install Graphviz, or leave --engine pure")

    def save(
        self, report: Report, line: ProgressLine = NO_LINE
    ) -> tuple[list[str], list[UsageError]]:
        """Write every file; returns the names written and what hindered the others."""
        written: list[str] = []
        failures: list[UsageError] = []
        for name, path in zip(self.files, self.paths, strict=True):
            try:
                with line.working(f"writing {name}"):
                    report.save(path, **self._options(format_of(path.name)))
            except CannotWrite as error:
                why = error.__cause__
                reason = why.strerror if isinstance(why, OSError) and why.strerror else str(error)
                failures.append(CannotWrite(name, reason))
            except UsageError as error:
                failures.append(error)
            else:
                written.append(name)
        return written, failures

    def deliver(
        self,
        report: Report,
        written: Sequence[str],
        stream: TextIO,
        line: ProgressLine = NO_LINE,
    ) -> None:
        """Print the report in the format for standard output, then the files written.

        Their names do not belong into the output of a program that reads it: unless the format is
        text, they go to standard error.
        """
        if self.format is not None:
            with line.working(f"making the report as {self.format}"):
                made = report.encoded(self.format, **self._options(self.format, stream))
            streams.put(made, stream)
        for name in written:
            print(f"wrote {name}", file=stream if self.for_people else sys.stderr)

    @property
    def for_people(self) -> bool:
        """Whether standard output is read by a person rather than by a program."""
        return self.format in (None, "text", "txt")

    @property
    def tells_beside_errors(self) -> bool:
        """Whether the report's text is read where the program's traceback is."""
        if self.format not in ("text", "txt"):
            return False
        return is_terminal(sys.stdout) or not is_terminal(sys.stderr)

    def _options(self, format: str, stream: TextIO | None = None) -> dict[str, object]:
        """Those of our options that the renderer of `format` has a field for."""
        asked: dict[str, object] = {
            "raw": self.raw,
            "base": self.base,
            "depth": self.depth,
            "focus": self.focus,
        }
        if self.engine is not None:
            asked["engine"] = self.engine
        if stream is not None:
            asked["color"] = wants_color(self.color, stream)
            if stream.isatty():
                asked["width"] = min(shutil.get_terminal_size().columns, WIDEST)
        renderer = renderers.load(format)
        known = {field.name for field in fields(renderer)} if is_dataclass(renderer) else set()
        return {name: value for name, value in asked.items() if name in known}


def wants_color(when: str, stream: TextIO | None) -> bool:
    """Whether to colour `stream`: as `--color` says, else on a terminal without NO_COLOR."""
    if when == "auto":
        return is_terminal(stream) and not os.environ.get("NO_COLOR")
    return when == "always"


def progress_line(asked: bool | None, own: bool | None, color: str) -> ProgressLine:
    """The line for what was `asked` on the command line, else in the project's `own` settings."""
    wanted = asked if asked is not None else own is not False
    return ProgressLine(wanted, color=wants_color(color, sys.stderr))


progress_option = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show on a terminal how far it is, once it takes more than two seconds. [default: shown]",
)


class _Format(click.Option):
    """Its help lists the formats there are, which is looked up only where help is wanted."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names, text = super().get_help_record(ctx) or ("", "")
        return names, f"Format on standard output: {', '.join(sorted(renderers))} {text}"


def output_options(format: str | None) -> Decorator:
    """The options that make the argument `outputs`; `format` is the default of `--format`.

    Without a default, the text is printed where no file was asked for.
    """
    options = (
        click.option(
            "-o",
            "--output",
            "files",
            multiple=True,
            metavar="FILE",
            help="Write the report to FILE; its name chooses the format. Repeatable.",
        ),
        click.option(
            "--format",
            default=format,
            metavar="NAME",
            cls=_Format,
            help="[default: text]." if format else "[default: text, or none with -o].",
        ),
        click.option(
            "--engine",
            type=click.Choice(["pure", "dot"]),
            help="Who lays out an SVG: the built-in Graphviz, or the system's dot.",
        ),
        click.option(
            "--raw",
            is_flag=True,
            help="Draw the autograd graph as it stands, node by node (torchviz).",
        ),
        click.option(
            "--depth",
            type=click.Choice(["stage", "step", "module", "op"]),
            help="How much a box of the picture holds: a stage of the run, a step, what a function "
            "of the network did, an op. [default: named points, and ops around each finding]",
        ),
        click.option(
            "--focus",
            metavar="FINDING",
            help="Draw around one finding alone: its code, or its number from 1.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            help="Colour the text [default: auto: on a terminal without NO_COLOR].",
        ),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_outputs(
            *,
            files: tuple[str, ...],
            format: str | None,
            engine: str | None,
            raw: bool,
            depth: str | None,
            focus: str | None,
            color: str,
            **others: object,
        ) -> Any:
            if format is None and not files:
                format = "text"
            outputs = Outputs(files, format, engine, raw, color, depth or "auto", focus)
            return command(outputs=outputs, **others)

        decorated: Callable[..., Any] = with_outputs
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return add


def _known(format: str, given: str) -> None:
    if format not in renderers:
        raise UnknownFormat(given, sorted(renderers))


def refusal(path: Path) -> str | None:
    """Why `path` cannot be written, as far as can be told without touching it."""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if path.is_dir():
        return "it is a directory"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "permission denied"
    return None
