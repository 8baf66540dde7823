"""`gradprobe render`: draw a saved report again, without the program and without torch."""

from __future__ import annotations

import click

import gradprobe
from gradprobe.cli import streams
from gradprobe.cli.outputs import (
    USAGE,
    Outputs,
    output_options,
    progress_line,
    progress_option,
)

EPILOG = """\b
Examples:
  gradprobe render report.json -o graph.svg
  gradprobe render report.json --format dot | dot -Tpdf > graph.pdf"""


@click.command(epilog=EPILOG, options_metavar="[OPTIONS]")
@click.argument("report", metavar="REPORT.json")
@output_options(None)
@progress_option
def render(report: str, progress: bool | None, outputs: Outputs) -> int:
    """Draw or print a report that `gradprobe trace -o REPORT.json` saved."""
    outputs.check()
    with progress_line(progress, None, outputs.color) as line:
        with line.working(f"reading {report}"):
            loaded = gradprobe.load(report)
        written, failures = outputs.save(loaded, line)
        with streams.report_stream() as stream:
            outputs.deliver(loaded, written, stream, line)
    for refusal in failures:
        streams.complain(refusal)
    return USAGE if failures else 0
