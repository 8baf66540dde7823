"""Options for what becomes of findings: which are reported, which are accepted, what fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click

from gradprobe.cli.outputs import Decorator, refusal
from gradprobe.config import FAIL_ON, Config
from gradprobe.errors import CannotWrite, UsageError
from gradprobe.records.baseline import Baseline
from gradprobe.records.report import Report


@dataclass(frozen=True, slots=True)
class FindingOptions:
    """What was asked for; a baseline is named from the directory where it was asked."""

    allow: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    baseline: str | None
    write_baseline: str | None
    fail_on: str | None
    base: str = field(default_factory=os.getcwd)

    def check(self) -> None:
        """Raise `UsageError` for a baseline that cannot be written."""
        if self.write_baseline is None:
            return
        if self.baseline is not None:
            raise UsageError(
                "--baseline and --write-baseline exclude each other: leave --baseline out, "
                "all that is found is written"
            )
        why = refusal(Path(self.base, self.write_baseline))
        if why:
            raise CannotWrite(self.write_baseline, why)

    @property
    def asked(self) -> dict[str, Any]:
        """Arguments of `Config.arguments`."""
        new = None
        if self.write_baseline is not None:
            new = Baseline(os.path.join(self.base, self.write_baseline), new=True)
        return {
            "allow": self.allow,
            "select": self.select,
            "ignore": self.ignore,
            "baseline": new or self.baseline,
        }

    def threshold(self, config: Config) -> str:
        """The least severity that fails; none where what is found is written as accepted."""
        if self.write_baseline is not None:
            return "never"
        return self.fail_on or config.fail_on or "error"

    def save(self, report: Report) -> list[str]:
        """Write the baseline, if that was asked for, and say what was written."""
        if self.write_baseline is None:
            return []
        found = [finding for finding in report.findings if not finding.allowed]
        path = os.path.join(self.base, self.write_baseline)
        try:
            Baseline(path).of(found).write()
        except CannotWrite as error:
            why = error.__cause__
            reason = why.strerror if isinstance(why, OSError) and why.strerror else str(error)
            raise CannotWrite(self.write_baseline, reason) from error
        return [f"{len(found)} finding{'s' * (len(found) != 1)} to {self.write_baseline}"]


def finding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, given to the command as `found`."""
    options: tuple[Decorator, ...] = (
        click.option(
            "--allow",
            multiple=True,
            metavar="ENTRY",
            help="Finding that is accepted: CODE, CODE:FILE or CODE:FILE:FUNCTION. It is shown, "
            "and does not count. Repeatable.",
        ),
        click.option(
            "--select",
            multiple=True,
            metavar="CODES",
            help="Report findings of these codes alone: GP101, or GP1 for all that begin so; "
            "several with commas. Repeatable.",
        ),
        click.option(
            "--ignore",
            multiple=True,
            metavar="CODES",
            help="Leave out findings of these codes, given as for --select; how many is told. "
            "Repeatable.",
        ),
        click.option(
            "--baseline",
            type=click.Path(),
            metavar="FILE",
            help="Accept the findings that FILE holds, and no others.",
        ),
        click.option(
            "--write-baseline",
            type=click.Path(),
            metavar="FILE",
            help="Write all that is found to FILE, for --baseline; a finding is no failure then.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice(FAIL_ON),
            help="Least severity of a finding that makes the exit code 1 [default: error].",
        ),
    )

    @wraps(command)
    def with_findings(
        *,
        allow: tuple[str, ...],
        select: tuple[str, ...],
        ignore: tuple[str, ...],
        baseline: str | None,
        write_baseline: str | None,
        fail_on: str | None,
        **others: object,
    ) -> Any:
        found = FindingOptions(allow, select, ignore, baseline, write_baseline, fail_on)
        return command(found=found, **others)

    decorated: Callable[..., Any] = with_findings
    for option in reversed(options):
        decorated = option(decorated)
    return decorated
