"""`gradprobe diff`: two saved reports beside each other."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

import gradprobe
from gradprobe.cli import streams
from gradprobe.cli.outputs import WIDEST, wants_color
from gradprobe.compare import TOLERANCE, compare
from gradprobe.errors import UsageError
from gradprobe.records.comparison import Comparison
from gradprobe.records.comparison_codec import to_dict
from gradprobe.records.report import SEVERITIES, Severity

EPILOG = """\b
Examples:
  gradprobe diff good.json bad.json
  gradprobe diff rank0.json rank1.json --tolerance 0.1
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
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format on standard output.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour the text [default: auto: on a terminal without NO_COLOR].",
)
def diff(good: str, bad: str, tolerance: float, fail_on: Severity, format: str, color: str) -> int:
    """Compare two reports that `gradprobe trace -o NAME.json` saved: where do they part?

    GOOD is the run in which gradient flowed, BAD the one that is asked about: two versions, two
    settings, two ranks. Stages are matched by name, step and call, findings by code and source
    text, wherever their files lie.
    """
    compared = compare(_loaded(good), _loaded(bad), tolerance)
    with streams.report_stream() as stream:
        if format == "json":
            stream.write(json.dumps(to_dict(compared), indent=2, allow_nan=False) + "\n")
        else:
            stream.write(_text(compared, (good, bad), stream, color))
    worst = compared.worst_new()
    failed = worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(fail_on)
    return int(failed)


def _loaded(name: str) -> gradprobe.Report:
    if name.endswith(".json") or os.path.exists(name):
        return gradprobe.load(name)
    raise UsageError(f"there is no report {name}: save one with `gradprobe trace -o {name}.json`")


def _text(compared: Comparison, files: tuple[str, str], stream: Any, color: str) -> str:
    from gradprobe.render.comparison.text import ComparisonText

    width = min(shutil.get_terminal_size().columns, WIDEST) if stream.isatty() else 80
    names = [Path(file).stem for file in files]
    if names[0] == names[1]:
        names = list(files)
    shown = ComparisonText(wants_color(color, stream), width, None, (names[0], names[1]))
    return shown.render(compared)
