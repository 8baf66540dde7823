"""The assertions of `gradprobe.testing` as methods of whatever has a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gradprobe.errors import GradientLost, UnknownName, UsageError
from gradprobe.records.report import Report, Severity, Stage
from gradprobe.testing import assertions, comparing, measures
from gradprobe.testing.comparing import Differ, Reporting
from gradprobe.testing.file_names import own_name


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Where a test keeps snapshots: in `folder`, under its own name where it gives no other.

    `update` writes them instead of comparing; `base` is the folder that their files are named from.
    """

    folder: Path
    name: str | None
    update: bool = False
    base: Path | None = None


class Asserting:
    """Each method is the function of its name, on the report so far, and raises the same."""

    def __init__(
        self, picture_dir: Path | None, differ: Differ, snapshots: Snapshots | None
    ) -> None:
        self._picture_dir = picture_dir
        self._differ = differ
        self._snapshots = snapshots

    def report(self) -> Report:
        """What was seen so far."""
        raise NotImplementedError

    def assert_flows(
        self, leaf: str = "z0", root: str | None = None, *, through: object = None
    ) -> None:
        """`gradprobe.testing.assert_flows` on the report so far."""
        __tracebackhide__ = True
        report = self._judged()
        assertions.assert_flows(report, leaf, root, self._picture_dir, through=through)

    def assert_complete(self, leaf: str = "z0", *, calls: int | None = None) -> None:
        """`gradprobe.testing.assert_complete` on the report so far."""
        __tracebackhide__ = True
        assertions.assert_complete(self._judged(), leaf, calls=calls, picture_dir=self._picture_dir)

    def assert_records(
        self, stage: str, *, steps: Iterable[int] | None = None, count: int | None = None
    ) -> tuple[Stage, ...]:
        """`gradprobe.testing.assert_records` on the report so far."""
        __tracebackhide__ = True
        return assertions.assert_records(self._judged(), stage, steps=steps, count=count)

    def assert_healthy(
        self, *stages: str, leaf: str = "z0", max_zero_fraction: float = 1.0
    ) -> None:
        """`gradprobe.testing.assert_healthy` on the report so far."""
        __tracebackhide__ = True
        assertions.assert_healthy(
            self._judged(),
            *stages,
            leaf=leaf,
            max_zero_fraction=max_zero_fraction,
            picture_dir=self._picture_dir,
        )

    def assert_no_findings(self, at_least: Severity = "warning") -> None:
        """`gradprobe.testing.assert_no_findings` on the report so far."""
        __tracebackhide__ = True
        assertions.assert_no_findings(self._judged(), at_least, picture_dir=self._picture_dir)

    def assert_no_cut(self, leaf: str = "z0") -> None:
        """`gradprobe.testing.assert_no_cut` on the report so far."""
        __tracebackhide__ = True
        measures.assert_no_cut(self._judged(), leaf, picture_dir=self._picture_dir)

    def assert_reaches(self, stage: str, step: int | None = None) -> None:
        """`gradprobe.testing.assert_reaches` on the report so far."""
        __tracebackhide__ = True
        measures.assert_reaches(self._judged(), stage, step, picture_dir=self._picture_dir)

    def assert_grad_norm(
        self, stage: str, between: tuple[float, float], *, step: int | None = None
    ) -> None:
        """`gradprobe.testing.assert_grad_norm` on the report so far."""
        __tracebackhide__ = True
        measures.assert_grad_norm(
            self._judged(), stage, between, step=step, picture_dir=self._picture_dir
        )

    def assert_finite(self, *stages: str) -> None:
        """`gradprobe.testing.assert_finite` on the report so far."""
        __tracebackhide__ = True
        measures.assert_finite(self._judged(), *stages, picture_dir=self._picture_dir)

    def assert_same_gradient(self, other: Report | Reporting, *, rtol: float = 0.0) -> None:
        """`gradprobe.testing.assert_same_gradient` on another run's report and this one's."""
        __tracebackhide__ = True
        comparing.assert_same_gradient(other, self._judged(), rtol=rtol, differ=self._differ)

    def assert_saved_bytes(self, *, below: int) -> None:
        """`gradprobe.testing.assert_saved_bytes` on the report so far."""
        __tracebackhide__ = True
        measures.assert_saved_bytes(self._judged(), below=below)

    def assert_matches_snapshot(self, name: str | None = None) -> None:
        """`gradprobe.testing.assert_matches_snapshot` on the report so far.

        The file has the test's name, or `name`, which must be given where a run is shared by tests.
        """
        __tracebackhide__ = True
        kept = self._snapshots
        chosen = name if name is not None or kept is None else kept.name
        if kept is None or chosen is None:
            raise UsageError("this snapshot has no place: give it a name, in a run of pytest")
        comparing.assert_matches_snapshot(
            self._judged(),
            kept.folder / f"{own_name(chosen)}.txt",
            update=kept.update,
            base=kept.base,
            differ=self._differ,
            picture_dir=self._picture_dir,
        )

    def _judged(self) -> Report:
        """The report; a name that the program does not have fails the test."""
        __tracebackhide__ = True
        try:
            return self.report()
        except UnknownName as error:
            raise GradientLost(str(error)) from None
