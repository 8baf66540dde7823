"""`gradprobe schema`: the JSON Schema of a saved report, or of a comparison."""

from __future__ import annotations

import json

import click

from gradprobe.records import codec, comparison_codec

EPILOG = """\b
Examples:
  gradprobe schema > report.schema.json
  gradprobe schema diff            of what gradprobe diff --format json prints"""

SCHEMAS = {"report": codec.schema, "diff": comparison_codec.schema}


@click.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(list(SCHEMAS)), default="report")
def schema(what: str) -> None:
    """Print the JSON Schema of a report, or of what `gradprobe diff` writes."""
    click.echo(json.dumps(SCHEMAS[what](), indent=2))
