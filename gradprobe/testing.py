"""Assertions on gradient flow, for any test framework; the pytest fixture stands on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gradprobe.errors import GradientLost, UnknownName, UsageError
from gradprobe.records.report import Finding, Leaf, Report, Stage

if TYPE_CHECKING:
    from gradprobe.probe import Probe


def assert_flows(
    report: Report, leaf: str = "z0", root: str | None = None, picture_dir: Path | None = None
) -> None:
    """Pass if gradient flows from the root to every leaf of that name, over every path.

    Otherwise raise `GradientLost` with the diagnosis: code, file, line, cause and fix. With
    `picture_dir` the run is drawn there as SVG, and the message names the file. `root`, where it is
    given, must be the name of the tensor that backward started at.
    """
    __tracebackhide__ = True
    named = [seen for seen in report.leaves if seen.name == leaf]
    if not named:
        names = ", ".join(sorted({seen.name for seen in report.leaves})) or "none"
        raise GradientLost(
            f"no leaf named {leaf!r} was seen (leaves: {names}); "
            f"if it never required grad, name it at the start: leaves=[{leaf!r}]"
        )
    if root is not None and (report.root is None or report.root.name != root):
        started = "nothing" if report.root is None else repr(report.root.name)
        raise GradientLost(
            f"backward started at {started}, not at {root!r}; "
            f"to follow another tensor, name it at the start: root={root!r}"
        )
    lost = next((seen for seen in named if seen.verdict != "flows"), None)
    if lost is not None:
        raise GradientLost("\n".join(_diagnosis(report, lost, picture_dir)))


class ProbedTest:
    """A probe for the length of a test: started on demand, and stopped at the latest at its end."""

    def __init__(self, picture_dir: Path | None = None) -> None:
        self._picture_dir = picture_dir
        self._probe: Probe | None = None
        self._running = False

    def start(self, *, leaves: Sequence[str] = (), root: str | None = None) -> Self:
        """Begin to record, until `stop`, the end of a `with` over the result, or of the test.

        `leaves` and `root` are names as for `gradprobe.Probe`. A second start begins anew.
        """
        from gradprobe.probe import Probe  # imports torch

        self.stop()
        self._probe = Probe(leaves=leaves, root=root)
        self._probe.start()
        self._running = True
        return self

    def stop(self) -> None:
        """Undo the probe; what it recorded stays. Harmless where none is running."""
        if self._probe is not None and self._running:
            self._running = False
            self._probe.stop()

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
        return self._probe.report()

    @property
    def records(self) -> tuple[Stage, ...]:
        """The hook records so far: plain data, no tensors."""
        return self.report().stages

    def assert_flows(self, leaf: str = "z0", root: str | None = None) -> None:
        """`assert_flows` on the report so far; a failure names the picture that it drew."""
        __tracebackhide__ = True
        try:
            report = self.report()
        except UnknownName as error:
            raise GradientLost(str(error)) from None
        assert_flows(report, leaf, root, self._picture_dir)


def _diagnosis(report: Report, leaf: Leaf, picture_dir: Path | None) -> list[str]:
    finding = next((one for one in report.findings if one.leaf == leaf.name), None)
    lines = [f"gradient of {leaf.name}: {leaf.verdict}; {_fact(report, finding)}"]
    if finding is not None:
        lines.append(f"fix: {finding.fix}")
    if picture_dir is not None:
        name = re.sub(r"[^\w.-]+", "-", f"gradprobe-{leaf.name}.svg")
        try:
            lines.append(f"picture: {report.save(picture_dir / name)}")
        except UsageError as error:
            lines.append(f"picture: none, {error}")
    return lines


def _fact(report: Report, finding: Finding | None) -> str:
    if finding is None:
        return report.headline
    cause = finding.opened_by
    opened = f", opened by {cause.place}" if cause is not None else ""
    return f"{finding.code} {finding.name} at {finding.at.place}{opened}: {finding.message}"
