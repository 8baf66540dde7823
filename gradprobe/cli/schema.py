"""`gradprobe schema`: the JSON Schema of a saved report."""

from __future__ import annotations

import json

import click

from gradprobe.records import codec

EPILOG = """\b
Example:
  gradprobe schema > report.schema.json"""


@click.command(epilog=EPILOG)
def schema() -> None:
    """Print the JSON Schema of a report."""
    click.echo(json.dumps(codec.schema(), indent=2))
