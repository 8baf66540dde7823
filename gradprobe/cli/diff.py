"""`gradprobe diff`: two saved reports beside each other."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import click

import gradprobe
from gradprobe.cli import streams
from gradprobe.cli.outputs import WIDEST, refusal, wants_color
from gradprobe.compare import TOLERANCE, compare
from gradprobe.errors import CannotWrite, UnknownFormat, UsageError
from gradprobe.records.comparison import Comparison
from gradprobe.records.report import SEVERITIES, Severity
from gradprobe.registry import comparisons, format_of

EPILOG = """\b
Examples:
  gradprobe diff good.json bad.json
  gradprobe diff rank0.json rank1.json --tolerance 0.1
  gradprobe diff good.json bad.json -o difference.svg
  gradprobe diff good.json bad.json --format json > difference.json

Exit codes: 0, no new finding at or above --fail-on; 1, there is one, or the
gradient arrived in the first run and does not in the second; 2, usage."""


@click.command(epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("good", metavar="GOOD.json")
@click.argument("bad", metavar="BAD.json")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE,
    show_default=True,
    help="Relative difference up to which norms and values agree.",
)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="error",
    show_default=True,
    help="Exit with 1 on a new finding of this severity or a worse one.",
)
@click.option(
    "-o",
    "--output",
    "files",
    multiple=True,
    metavar="FILE",
    help="Write the comparison to FILE; its name chooses the format. Repeatable.",
)
@click.option(
    "--format",
    metavar="NAME",
    help="Format on standard output: text, json, svg, html. [default: text, or none with -o]",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour the text [default: auto: on a terminal without NO_COLOR].",
)
def diff(
    good: str,
    bad: str,
    tolerance: float,
    fail_on: Severity,
    files: tuple[str, ...],
    format: str | None,
    color: str,
) -> int:
    """Compare two reports that `gradprobe trace -o NAME.json` saved: where do they part?

    GOOD is the run in which gradient flowed, BAD the one that is asked about: two versions, two
    settings, two ranks. Stages are matched by name, step and call, findings by code and source
    text, wherever their files lie.
    """
    format = format or (None if files else "text")
    for name in files:
        _check(format_of(name), name)
        why = refusal(Path(name))
        if why:
            raise CannotWrite(name, why)
    if format is not None:
        _check(format, format)
    compared = compare(_loaded(good), _loaded(bad), tolerance)
    names = _names(good, bad)
    for name in files:
        _write(Path(name), _shown(compared, format_of(name), names=names))
    with streams.report_stream() as stream:
        if format is not None:
            width = min(shutil.get_terminal_size().columns, WIDEST) if stream.isatty() else 80
            colored = wants_color(color, stream)
            text = _shown(compared, format, names=names, color=colored, width=width)
            streams.put(text.encode(), stream)
        for name in files:
            print(f"wrote {name}", file=stream if format in (None, "text", "txt") else sys.stderr)
    worst = compared.worst_new()
    failed = worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(fail_on)
    return int(failed)


def _check(format: str, given: str) -> None:
    if format not in comparisons:
        raise UnknownFormat(given, sorted(comparisons))


def _names(good: str, bad: str) -> tuple[str, str]:
    """What the two sides are called."""
    one, other = Path(good).stem, Path(bad).stem
    return (good, bad) if one == other else (one, other)


def _shown(compared: Comparison, format: str, **asked: object) -> str:
    """The comparison in a format, with those of the options that its renderer has a field for."""
    renderer = comparisons.load(format)
    known = {field.name for field in fields(renderer)} if is_dataclass(renderer) else set()
    text: str = renderer(**{k: v for k, v in asked.items() if k in known}).render(compared)
    return text


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error


def _loaded(name: str) -> gradprobe.Report:
    if name.endswith(".json") or os.path.exists(name):
        return gradprobe.load(name)
    raise UsageError(f"there is no report {name}: save one with `gradprobe trace -o {name}.json`")
