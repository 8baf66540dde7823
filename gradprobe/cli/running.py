"""A program is run under a probe, and its report goes where it was asked for.

What `trace` and `watch` share; each makes the probe's arguments of its own options.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

from gradprobe.cli import failure, streams
from gradprobe.cli.finding_options import FindingOptions
from gradprobe.cli.outputs import USAGE, Outputs, progress_line, wants_color
from gradprobe.cli.second_run import SecondRun
from gradprobe.config import Config, load, nearest
from gradprobe.errors import UsageError
from gradprobe.records.report import SEVERITIES, Report
from gradprobe.target import INTERRUPTED, Outcome, parse, run

FINDING, FAILED = 1, 3


def config_of(file: str | None, no_config: bool) -> Config:
    """The project's settings: of `file`, else of the nearest pyproject.toml that has them."""
    if no_config and file is not None:
        raise UsageError("--config and --no-config exclude each other: leave one out")
    if no_config:
        return Config()
    return nearest(Path.cwd()) if file is None else load(Path(file))


def run_under_probe(
    again: SecondRun,
    progress: bool | None,
    config: Config,
    outputs: Outputs,
    found: FindingOptions,
) -> int:
    """Run the program of `again` once, and a second time where more is to be told.

    Returns the exit code. Raises `UsageError` for a target that cannot be loaded, before it runs.
    """
    command, as_module = again.command, again.as_module
    target = parse(command[0], as_module=as_module)

    from gradprobe.probe import Probe  # imports torch

    shown = ("-m", *command) if as_module else command
    line = progress_line(progress, config.progress, outputs.color)
    probe = Probe(**again.asked, raw=outputs.raw, command=shown, progress=line.listener)
    process = os.getpid()
    alone = not outputs.for_people
    with (
        line,
        streams.report_stream() as stream,
        streams.aside() if alone else nullcontext(),
    ):
        outcome = run(target, command[1:], within=probe)
        line.clear()
        failure.show(outcome)
        streams.flush()
        if os.getpid() != process:  # a child that the program forked came to the program's end
            return outcome.exit_code
        try:
            with line.working("diagnosing"):
                report = probe.report()
        except UsageError as error:
            streams.complain(error)
            return _of_program(outcome) or USAGE
        more = again.wanted(report, probe.trail_lost)
        if more and not outcome.interrupted:
            report = again.improved(report, more, line)
        written, failures = outputs.save(report, line)
        try:
            written += found.save(report)
        except UsageError as error:
            failures.append(error)
        if not alone:
            stream.write("\n")  # apart from what the program printed
        try:
            outputs.deliver(report, written, stream, line)
        except UsageError as error:
            failures.append(error)
    for refusal in failures:
        streams.complain(refusal)
    if outcome.failed:
        why = failure.diagnosis(report, outputs.base)
        if why is not None and not outputs.tells_beside_errors:
            streams.complain(why, color=wants_color(outputs.color, sys.stderr))
        streams.complain(failure.sentence(outcome))
    return exit_code(outcome, report, found.threshold(config), unwritten=bool(failures))


def exit_code(outcome: Outcome, report: Report, fail_on: str, *, unwritten: bool = False) -> int:
    """The exit code of a trace that came to a report.

    A program that failed because of autograd counts as a finding; one that failed otherwise is
    code 3 only where nothing that was asked for was found. It is never a success.
    """
    if outcome.interrupted:
        return INTERRUPTED
    if unwritten:
        return USAGE
    if fail_on != "never":
        worst = report.worst()
        found = worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(fail_on)
        if found or (outcome.failed and report.verdict == "error"):
            return FINDING
    return _of_program(outcome)


def _of_program(outcome: Outcome) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    return FAILED if outcome.failed else 0
