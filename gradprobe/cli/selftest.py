"""`gradprobe selftest`: a sampler with learnable noise, checked in five steps."""

from __future__ import annotations

import click

from gradprobe.cli.streams import report_stream

EPILOG = """\b
Examples:
  gradprobe selftest
  gradprobe selftest --step-noise --lang zh"""


@click.command(epilog=EPILOG)
@click.option("--step-noise", is_flag=True, help="Derive the noise of each step from z0 too.")
@click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default="en",
    help="Language of what is printed [default: en].",
)
def selftest(step_noise: bool, lang: str) -> int:
    """Check that gradient flows through a small sampler on this machine."""
    from gradprobe.selftest import run  # imports torch

    with report_stream() as out:
        return run(step_noise=step_noise, lang=lang, out=out)
