"""A training run under a probe: what every trainer's adapter does at its begin and its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradprobe.errors import UsageError
from gradprobe.integrations.logger import PREFIX, Logger, log_to
from gradprobe.probe import Probe
from gradprobe.records.report import LOST, SEVERITIES, Report
from gradprobe.registry import renderers
from gradprobe.testing.traced_test import refuse

log = logging.getLogger("gradprobe")
FAIL_ON = (*SEVERITIES, "never")


class TrainedRun:
    """Settings of such a run, and its report once it is over.

    `leaf` names what is optimised, as for `Probe(leaves=...)`: a module's parameters are leaves
    only if they are named. `report` is where the report goes, its form told by the ending
    (`run.html`, `run.json`, ...); with several processes the rank stands before the ending.
    `fail_on` raises `GradientLost` at the end of the run for a finding of that severity or a worse
    one. `loggers` get the gradient norms of each backward, of `every` so many one. What else
    `Probe` takes may be given too; `watch=True`, some milliseconds an iteration, is the default.

    Raises `UsageError` for what `Probe` refuses, for a form that there is not, and for another
    `fail_on`.
    """

    def __init__(
        self,
        *,
        leaf: str | Sequence[str] = (),
        report: str | Path | None = None,
        fail_on: str = "never",
        loggers: Logger | Sequence[Logger] = (),
        every: int = 1,
        prefix: str = PREFIX,
        **options: Any,
    ) -> None:
        if fail_on not in FAIL_ON:
            raise UsageError(f"fail_on is {fail_on!r}; it is one of {', '.join(FAIL_ON)}")
        self._path = None if report is None else Path(report)
        if self._path is not None and self._path.suffix[1:] not in renderers:
            forms = ", ".join(sorted(renderers))
            raise UsageError(f"{self._path} has the ending of no form: it is one of {forms}")
        self._fail_on = fail_on
        self._options = {"watch": True, "leaves": leaf, **options}
        several = loggers if isinstance(loggers, Sequence) else (loggers,)
        told = log_to(*several, every=every, prefix=prefix)
        if several:
            self._options["on_backward"] = told
        self._probe: Probe | None = None
        Probe(**self._options)  # refuses now what it would refuse when the run begins
        self.report: Report | None = None

    def begin(self) -> Probe:
        """Start to watch. Raises `UsageError` where another probe is running."""
        self.abandon()
        self.report = None
        self._probe = Probe(**self._options).start()
        return self._probe

    def end(
        self,
        *,
        rank: int = 0,
        ranks: int = 1,
        names: Mapping[str, object] | None = None,
        judge: bool = True,
    ) -> Report | None:
        """Stop watching, say what was seen, keep the report; None where no run had begun.

        Raises `GradientLost` if `fail_on` asks for it, unless `judge` is False.
        """
        probe, self._probe = self._probe, None
        if probe is None:
            return None
        probe.stop(names)
        report = self.report = probe.report()
        if self._path is not None:
            path = self._path
            if ranks > 1:
                path = path.with_suffix(f".rank{rank}{path.suffix}")
            report.save(path)
        lost = report.verdict in LOST or any(
            f.severity != "note" and not f.allowed for f in report.findings
        )
        if rank == 0:
            log.log(logging.WARNING if lost else logging.INFO, "%s", report.render("text"))
        if judge:
            refuse(report, self._fail_on, None)
        return report

    def abandon(self) -> None:
        """Stop watching without a report, if a run that began has not ended."""
        if self._probe is not None:
            self._probe.stop()
            self._probe = None
