"""`gradprobe watch`: leave the probe on for thousands of iterations."""

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

EPILOG = """\b
TARGET, exit codes and a project's settings are those of `gradprobe trace`,
but for how closely ops and numbers are looked at.

\b
Examples:
  gradprobe watch optimise.py --iterations 5000
  gradprobe watch --leaf z0 -o report.html optimise.py"""


@click.command(
    epilog=EPILOG,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@as_module_option
@leaf_option
@root_option
@denoiser_option
@output_options("text")
@finding_options
@progress_option
@target_and_settings
def watch(
    command: tuple[str, ...],
    as_module: bool,
    leaves: tuple[str, ...],
    root: str | None,
    denoiser: str | None,
    config_file: str | None,
    no_config: bool,
    progress: bool | None,
    outputs: Outputs,
    found: FindingOptions,
) -> int:
    """Run a long optimisation and name the line of the first iteration that goes bad.

    Only what is outside of the network is recorded, until an iteration shows something new: then
    one is recorded whole. Where that does not tell the line, the program is run a second time.
    """
    outputs.check()
    found.check()
    config = config_of(config_file, no_config)
    asked = config.arguments(leaves=leaves or None, root=root, denoiser=denoiser, **found.asked)
    asked.update(watch=True, numerics="stages", follow_host=False)
    again = SecondRun(command, as_module, asked, may_follow=False, watched=True)
    return run_under_probe(again, progress, config, outputs, found)
