"""The same program once more, in a process of its own, looked at more closely.

A gradient that is zero or not finite shows in the first run at its stages; at which op it became so
only measuring every node tells, and that is too dear to be done always. Whether a value that left
torch came back only following it tells, and that gives the program values of other types. The
second run has the first one's command, directory and environment; what it prints is thrown away.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gradprobe.cli import streams
from gradprobe.cli.progress import NO_LINE, ProgressLine, sentence
from gradprobe.errors import CannotRead
from gradprobe.records.progress import Progress
from gradprobe.records.report import Report

_LEFT = "GP104"
_CELLS = 56  # of what a second run says of itself, behind `gradprobe: second run, `
# Findings that say that gradient is lost, and not by what.
_OPEN = ("GP109", "GP114")
_WANTS = {"zero": "exactly zero", "nonfinite": "not finite"}
# Of a launcher's processes one cannot run again alone: the others would not answer it.
_LAUNCHED = ("TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class SecondRun:
    """What the first run began with: made before the program may change any of it."""

    command: tuple[str, ...]
    as_module: bool
    asked: Mapping[str, Any]  # the probe's arguments
    may_measure: bool = True
    may_follow: bool = True
    watched: bool = False  # the first run looked at the outside of the network alone
    directory: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def wanted(self, report: Report, trail_lost: bool = False) -> Mapping[str, Any]:
        """Arguments of a probe that would tell what the first left open; empty where none would.

        `trail_lost`: values left torch and may have come back unseen.
        """
        more: dict[str, Any] = {}
        if self.watched and (report.verdict in _WANTS or not _is_told(report)):
            more.update(watch=False, ops="all")
        if self.may_measure and report.verdict in _WANTS:
            more["numerics"] = "nodes"
        guessed = any(f.code == _LEFT and f.certainty == "suspected" for f in report.findings)
        if self.may_follow and (guessed or (trail_lost and not _is_explained(report))):
            more["follow_host"] = True
        return more

    def improved(
        self, report: Report, more: Mapping[str, Any], line: ProgressLine = NO_LINE
    ) -> Report:
        """The second run's report, if it agrees and tells more; else the first with a word why."""
        leaf = report.leaves[0].name if report.leaves else "the leaf"
        if "watch" in more:
            what, aim = (
                f"{leaf}'s gradient is {_WANTS.get(report.verdict, 'lost')}",
                "find the line",
            )
            missed, options = "the line was not looked for", ["gradprobe trace"]
        elif "numerics" in more:
            what, aim = f"{leaf}'s gradient is {_WANTS[report.verdict]}", "find the op"
            missed, options = "the op was not looked for", ["--numerics nodes"]
        else:
            what, aim = f"values of {leaf} left torch", "see whether they come back"
            missed, options = "they were not followed", []
        if "follow_host" in more:
            options.append("--follow-host on")
        option = " ".join(options)
        if any(name in self.environment for name in _LAUNCHED):
            return _noted(
                report,
                f"{what}: {missed}, because a launcher started this process; "
                f"run one alone with {option}",
            )
        streams.complain(f"{what}: running the program again to {aim}")
        try:
            second = self._run(more, line)
        except KeyboardInterrupt:
            return _noted(report, f"the second run, to {aim}, was interrupted")
        if second is None:
            return _noted(report, f"the program was run again to {aim}, and gave no report")
        same = [one.name for one in second.leaves[:1]] == [one.name for one in report.leaves[:1]]
        proven = "follow_host" in more and _proves(second)
        if not same or not (proven or second.verdict == report.verdict):
            return _noted(
                report,
                f"the program was run again to {aim}, and ended otherwise "
                f"({second.verdict}): give it a fixed seed, or use {option}",
            )
        if "numerics" in more or "watch" in more or proven:
            return replace(second, environment=report.environment, autograd_dot=report.autograd_dot)
        if any(f.code == _LEFT for f in report.findings):
            return _noted(report, "what left torch was followed in a second run, to no return")
        return report

    def _run(self, more: Mapping[str, Any], line: ProgressLine) -> Report | None:
        from gradprobe.records.codec import load

        with TemporaryDirectory(prefix="gradprobe-") as folder:
            request, answer = Path(folder, "request"), Path(folder, "report.json")
            told = Path(folder, "progress") if line.listener is not None else None
            request.write_bytes(pickle.dumps((self, more, told)))
            # The interpreter's own flags (-W, -X, -P ...) are the program's too. `multiprocessing`
            # and `test.support` ask for them in this way; there is no public one, and no type.
            flags: list[str] = vars(subprocess)["_args_from_interpreter_flags"]()
            with line.working("second run", lambda: _heard(told)):
                subprocess.run(
                    [sys.executable, *flags, "-m", __name__, str(request), str(answer)],
                    cwd=self.directory,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
            with suppress(CannotRead):
                return load(answer)
        return None


@dataclass(frozen=True, slots=True)
class _Teller:
    """Leaves in a file how far this run is, whole at every moment."""

    path: Path

    def __call__(self, seen: Progress) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(sentence(seen, _CELLS), encoding="utf-8")
        new.replace(self.path)


def _heard(path: Path | None) -> str:
    with suppress(OSError):  # nothing was told yet
        return "" if path is None else path.read_text(encoding="utf-8")
    return ""


def _is_told(report: Report) -> bool:
    """Whether there is nothing to be told, or the first thing told is proven."""
    loud = [finding for finding in report.findings if finding.severity != "note"]
    if not loud:
        return report.verdict in ("flows", "no-root")
    return loud[0].certainty == "proven"


def _is_explained(report: Report) -> bool:
    """Whether it was shown what keeps gradient from the leaf, so that nothing else need be."""
    if report.verdict in ("flows", "partial", *_WANTS):
        return False
    first = report.findings[0] if report.findings else None
    return first is not None and first.code not in _OPEN and first.certainty == "proven"


def _proves(report: Report) -> bool:
    """Whether values were seen to leave and to come back."""
    return any(f.code == _LEFT and f.certainty == "proven" for f in report.findings)


def _noted(report: Report, sentence: str) -> Report:
    return replace(report, unseen=(*report.unseen, sentence))


def main(arguments: Sequence[str]) -> None:
    """Run what `arguments[0]` holds, and write the report to `arguments[1]`."""
    from gradprobe.probe import Probe
    from gradprobe.target import parse, run

    request, more, told = pickle.loads(Path(arguments[0]).read_bytes())
    answer = Path(arguments[1])
    probe = Probe(
        **{**request.asked, **more},
        command=request.command,
        progress=None if told is None else _Teller(told),
    )
    process = os.getpid()
    target = parse(request.command[0], as_module=request.as_module)
    run(target, request.command[1:], within=probe)
    if os.getpid() == process:
        probe.report().save(answer)


if __name__ == "__main__":
    # Unpickling looks the class up by its module, which is not `__main__`.
    from gradprobe.cli.second_run import main as run_request

    run_request(sys.argv[1:])
