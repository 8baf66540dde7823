"""A probe for the length of a test, with the settings of its project and the assertions at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gradprobe.errors import UsageError
from gradprobe.records.baseline import Baseline, Entry
from gradprobe.records.numerics import Numerics
from gradprobe.records.report import FindStages, Ops, Report, Stage
from gradprobe.testing.asserting import Asserting, Snapshots
from gradprobe.testing.comparing import Differ, difference
from gradprobe.testing.diagnosis import lost

if TYPE_CHECKING:
    from gradprobe.config import Config
    from gradprobe.diagnose.allow import Allowed
    from gradprobe.probe import Probe


class ProbedTest(Asserting):
    """A probe that is started on demand, and stopped at the latest at the end of the test.

    `config` holds what the project's pyproject.toml asks of every probe, `differ` tells two values
    apart in a message, and `snapshots` says where this test keeps its own.
    """

    def __init__(
        self,
        picture_dir: Path | None = None,
        config: Config | None = None,
        *,
        differ: Differ = difference,
        snapshots: Snapshots | None = None,
    ) -> None:
        super().__init__(picture_dir, differ, snapshots)
        self._config = config
        self._probe: Probe | None = None
        self._running = False
        self._latest: Report | None = None
        self._unmatched: set[Allowed | Entry] | None = None
        self._baseline: Baseline | None = None

    def start(
        self,
        *,
        leaves: str | Sequence[str] | None = None,
        root: str | None = None,
        raw: bool = False,
        stages: str | Sequence[str] | Mapping[str, str] = (),
        denoiser: str | None = None,
        find_stages: FindStages | None = None,
        ops: Ops | None = None,
        numerics: Numerics | None = None,
        follow_host: bool | None = None,
        allow: str | Sequence[str] = (),
        select: str | Sequence[str] = (),
        ignore: str | Sequence[str] = (),
        baseline: str | Path | None = None,
        gives_way: bool = False,
    ) -> Self:
        """Begin to record, until `stop`, the end of a `with` over the result, or of the test.

        The arguments are those of `gradprobe.Probe`, and win over the project's settings;
        `stages`, `allow` and `ignore` add to them. A second start begins anew.
        """
        from gradprobe.config import Config
        from gradprobe.probe import Probe  # imports torch

        self.stop()
        asked = (self._config or Config()).arguments(
            leaves=leaves,
            root=root,
            stages=stages,
            denoiser=denoiser,
            find_stages=find_stages,
            ops=ops,
            numerics=numerics,
            follow_host=follow_host,
            allow=allow,
            select=select,
            ignore=ignore,
            baseline=baseline,
        )
        if asked["baseline"] is not None and asked["baseline"].shared:
            self._baseline = asked["baseline"]
        self._latest = None
        self._probe = Probe(**asked, raw=raw, gives_way=gives_way)
        self._probe.start()
        self._running = True
        return self

    def stop(self, names: Mapping[str, object] | None = None) -> None:
        """Undo the probe; what it recorded stays. Harmless where none is running.

        `names` are as for `gradprobe.Probe.stop`.
        """
        if self._probe is not None and self._running:
            self._running = False
            self._probe.stop(names)

    @property
    def running(self) -> bool:
        """Whether its probe is recording."""
        return self._running

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._probe is not None

    @property
    def latest(self) -> Report | None:
        """The last report that was asked for."""
        return self._latest

    @property
    def saw_backward(self) -> bool:
        """Whether its probe saw anything, and a backward or an error of autograd's in it."""
        if self._probe is None or not self._probe.ops_seen:
            return False
        return self.report().verdict != "no-root"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._probe is not None and self._running:
            self._running = False
            self._probe.__exit__(kind, error, traceback)

    def report(self) -> Report:
        """What was seen so far. Raises `UsageError` before `start`, or for an unknown name."""
        if self._probe is None:
            raise UsageError("no probe was started in this test: call gradprobe.start() first")
        report = self._latest = self._probe.report()
        if self._config is not None:
            self._unmatched = {entry for entry in self._left() if not self._met(entry, report)}
        return report

    def _left(self) -> set[Allowed | Entry]:
        """What the project accepts and no report so far had."""
        if self._unmatched is not None:
            return self._unmatched
        known = () if self._baseline is None else self._baseline.entries
        return {*(self._config.allow if self._config is not None else ()), *known}

    def _met(self, entry: Allowed | Entry, report: Report) -> bool:
        """Whether a report has what an entry accepts, or did not look for it."""
        if any(one.code == entry.code for one in report.left_out):
            return True
        if isinstance(entry, Entry):
            base = self._baseline
            return base is not None and any(
                base.entry_of(f).key == entry.key for f in report.findings
            )
        return any(entry.covers(finding) for finding in report.findings)

    @property
    def records(self) -> tuple[Stage, ...]:
        """The hook records so far: plain data, no tensors."""
        return self.report().stages

    @property
    def unmatched(self) -> frozenset[Allowed | Entry] | None:
        """What the project accepts and no report of this test had; None before the first one."""
        return None if self._unmatched is None else frozenset(self._unmatched)

    def explain(self) -> list[str]:
        """Lines that say what became of the gradient; none where it flows or no backward ran."""
        if self._probe is None:
            return []
        try:
            report = self.report()
        except UsageError as error:
            return [str(error)]
        flows = report.verdict == "flows" and report.worst() in (None, "note")
        if flows or report.verdict == "no-root":
            return []
        if not report.leaves:
            return [report.headline]
        return lost(report, report.leaves[0], self._picture_dir)  # the worst comes first
