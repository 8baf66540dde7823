"""The same program once more, in a process of its own, with the numbers of every node.

A gradient that is zero or not finite shows in the first run at its stages; at which op it became so
only measuring every node tells, and that is too dear to be done always. The second run has the
first one's command, directory and environment; what it prints is thrown away.
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
from gradprobe.errors import CannotRead
from gradprobe.records.report import Report

_WANTS = {"zero": "exactly zero", "nonfinite": "not finite"}
# Of a launcher's processes one cannot run again alone: the others would not answer it.
_LAUNCHED = ("TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class SecondRun:
    """What the first run began with: made before the program may change any of it."""

    command: tuple[str, ...]
    as_module: bool
    asked: Mapping[str, Any]  # the probe's arguments
    directory: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def wanted(self, report: Report) -> bool:
        """Whether the first run left open which op it was."""
        return report.verdict in _WANTS

    def improved(self, report: Report) -> Report:
        """The second run's report, if the same went wrong in it; else the first with a word why."""
        leaf = report.leaves[0].name if report.leaves else "the leaf"
        what = _WANTS[report.verdict]
        if any(name in self.environment for name in _LAUNCHED):
            return _noted(
                report,
                f"{leaf}'s gradient is {what}: the op was not looked for, because "
                "a launcher started this process; run one alone with --numerics nodes",
            )
        streams.complain(f"{leaf}'s gradient is {what}: running the program again to find the op")
        try:
            second = self._run()
        except KeyboardInterrupt:
            return _noted(report, "the second run, which looks for the op, was interrupted")
        if second is None:
            return _noted(report, "the program was run again to find the op, and gave no report")
        same = [one.name for one in second.leaves[:1]] == [one.name for one in report.leaves[:1]]
        if second.verdict != report.verdict or not same:
            return _noted(
                report,
                "the program was run again to find the op, and ended otherwise "
                f"({second.verdict}): give it a fixed seed, or use --numerics nodes",
            )
        return replace(second, environment=report.environment, autograd_dot=report.autograd_dot)

    def _run(self) -> Report | None:
        from gradprobe.records.codec import load

        with TemporaryDirectory(prefix="gradprobe-") as folder:
            request, answer = Path(folder, "request"), Path(folder, "report.json")
            request.write_bytes(pickle.dumps(self))
            # The interpreter's own flags (-W, -X, -P ...) are the program's too.
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
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


def _noted(report: Report, sentence: str) -> Report:
    return replace(report, unseen=(*report.unseen, sentence))


def main(arguments: Sequence[str]) -> None:
    """Run what `arguments[0]` holds, and write the report to `arguments[1]`."""
    from gradprobe.probe import Probe
    from gradprobe.target import parse, run

    request: SecondRun = pickle.loads(Path(arguments[0]).read_bytes())
    answer = Path(arguments[1])
    probe = Probe(**{**request.asked, "numerics": "nodes"}, command=request.command)
    process = os.getpid()
    target = parse(request.command[0], as_module=request.as_module)
    run(target, request.command[1:], within=probe)
    if os.getpid() == process:
        probe.report().save(answer)


if __name__ == "__main__":
    # Unpickling looks the class up by its module, which is not `__main__`.
    from gradprobe.cli.second_run import main as run_request

    run_request(sys.argv[1:])
