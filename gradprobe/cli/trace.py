"""`gradprobe trace`: run a program under the probe and report where gradient was lost."""

from __future__ import annotations

import click

from gradprobe.cli.finding_options import FindingOptions, finding_options
from gradprobe.cli.outputs import Outputs, output_options, progress_option
from gradprobe.cli.program_options import (
    as_module_option,
    denoiser_option,
    leaf_option,
    root_option,
    target_and_settings,
)
from gradprobe.cli.running import config_of, run_under_probe
from gradprobe.cli.second_run import SecondRun
from gradprobe.records.numerics import NUMERICS
from gradprobe.records.picture import DEPTHS
from gradprobe.records.report import FIND_STAGES, FOLLOW_HOST, OPS

EPILOG = """\b
TARGET is one of:
  script.py                 run as `python script.py` would
  -m package.module         run as `python -m package.module` would
  package.module:function   imported, then called with no arguments
  path/file.py:function     the same, from a file

Options stand before TARGET; all that follows it is the program's.

\b
Exit code: 0 nothing at or above --fail-on; 1 a finding at or above it;
2 a wrong request; 3 the program failed for a reason of its own;
130 interrupted (the report of what was seen is still written).

A table [tool.gradprobe] in the nearest pyproject.toml has defaults for these
options; what stands on the command line wins.

With a --format other than text, the program's standard output goes to
standard error, so that standard output holds the report alone. Where the
program failed, one line after its traceback says why gradient was lost.

\b
Examples:
  gradprobe trace run.py --steps 4
  gradprobe trace --leaf z0 -o report.json -o graph.svg run.py
  gradprobe trace --format json -m my_sampler.demo | jq .verdict"""


@click.command(
    epilog=EPILOG,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@as_module_option
@leaf_option
@root_option
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="SELECTOR",
    help="Local variable that is a stage: NAME=FILE_OR_MODULE:FUNCTION:VARIABLE, for example "
    "denoised=sampling.py:sample_euler:denoised. Repeatable.",
)
@click.option(
    "--stages",
    "find_stages",
    type=click.Choice(FIND_STAGES),
    help="Which stages to record: auto, those that a library's adapter or the dataflow shows too; "
    "declared, those of --stage and gradprobe.tap; none, leaf and root alone. [default: auto]",
)
@click.option(
    "--ops",
    type=click.Choice(OPS),
    help="Which ops to record: all, or sampler, those outside of modules that are called again and "
    "again: cheap, but no line inside them is named. [default: all]",
)
@denoiser_option
@click.option(
    "--numerics",
    type=click.Choice(("auto", *NUMERICS)),
    help="How closely to look at numbers: stages; nodes, every node, up to twice the time; auto, "
    "stages, and where a gradient is zero or not finite a second run of TARGET with nodes. "
    "[default: auto]",
)
@click.option(
    "--follow-host",
    type=click.Choice(FOLLOW_HOST),
    help="Follow values that leave torch through Python and NumPy until they come back: on; off; "
    "auto, in a second run of TARGET where they may have come back unseen. [default: auto]",
)
@output_options("text")
@finding_options
@progress_option
@target_and_settings
def trace(
    command: tuple[str, ...],
    as_module: bool,
    leaves: tuple[str, ...],
    root: str | None,
    stages: tuple[str, ...],
    find_stages: str | None,
    ops: str | None,
    denoiser: str | None,
    numerics: str | None,
    follow_host: str | None,
    config_file: str | None,
    no_config: bool,
    progress: bool | None,
    outputs: Outputs,
    found: FindingOptions,
) -> int:
    """Run TARGET unedited and name the line where gradient was lost."""
    outputs.check()
    found.check()
    config = config_of(config_file, no_config)
    asked = config.arguments(
        stages=stages,
        leaves=leaves or None,
        root=root,
        denoiser=denoiser,
        find_stages=find_stages,
        ops=ops,
        numerics=numerics,
        follow_host=follow_host,
        **found.asked,
    )
    if outputs.depth in DEPTHS:  # the others are made of the picture that is always drawn
        asked["depth"] = outputs.depth
    may_measure = (numerics or config.numerics or "auto") == "auto"
    may_follow = (follow_host or config.follow_host or "auto") == "auto"
    again = SecondRun(command, as_module, asked, may_measure, may_follow)
    return run_under_probe(again, progress, config, outputs, found)
