"""A test that is traced as a whole: what its marker asks, how it is judged, what is kept of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradprobe.errors import GradientLost, UsageError
from gradprobe.records.numerics import Numerics
from gradprobe.records.report import LOST, SEVERITIES, VERDICTS, Report
from gradprobe.records.source import Frame
from gradprobe.testing.diagnosis import PICTURES, fact, lost, saved
from gradprobe.testing.probed_test import ProbedTest

# Names of the properties of a test: in JUnit's XML, and from a worker of pytest-xdist.
VERDICT, FINDING, KEPT, FAULT = (
    f"gradprobe.{name}" for name in ("verdict", "finding", "report", "fault")
)
_KEPT = (("report", "json"), *PICTURES)


@dataclass(frozen=True)
class Asked:
    """The arguments of a marker: `@pytest.mark.gradprobe(leaf="z0", root="loss")`.

    Without `leaf`, every leaf that the test makes must get its gradient. `through` is as for
    `assert_flows`; the others are as for `gradprobe.Probe`.
    """

    leaf: str | Sequence[str] | None = None
    root: str | None = None
    through: object = None
    stages: str | Sequence[str] | Mapping[str, str] = ()
    allow: str | Sequence[str] = ()
    denoiser: str | None = None
    numerics: Numerics | None = None

    @property
    def leaves(self) -> tuple[str, ...] | None:
        if self.leaf is None:
            return None
        return (self.leaf,) if isinstance(self.leaf, str) else tuple(self.leaf)

    def start(self, probed: ProbedTest) -> None:
        """Begin to record. Raises `UsageError`, as where another probe is running."""
        probed.start(
            leaves=self.leaves,
            stages=self.stages,
            allow=self.allow,
            denoiser=self.denoiser,
            numerics=self.numerics,
        )

    def judge(self, probed: ProbedTest) -> None:
        """Raise `GradientLost` if a leaf that is asked for did not get its gradient."""
        names = self.leaves
        if names is None:
            report = probed.report()
            names = tuple(dict.fromkeys(leaf.name for leaf in report.leaves))
            if not names:
                raise GradientLost(f"no tensor of this test required grad: {report.headline}")
        for name in names:
            probed.assert_flows(name, self.root, through=self.through)


def asked(args: Sequence[object], given: Mapping[str, object]) -> Asked:
    """What a marker asks. Raises `UsageError` for an argument that it does not take."""
    try:
        return Asked(*args, **given)  # type: ignore[arg-type]
    except TypeError as error:
        why = str(error).replace("Asked.__init__()", "pytest.mark.gradprobe")
        raise UsageError(f"{why}; it takes {', '.join(Asked.__dataclass_fields__)}") from None


def refuse(report: Report, fail_on: str, picture_dir: Path | None) -> None:
    """Raise `GradientLost` for a finding of that severity or a worse one, or a lost gradient."""
    if fail_on == "never":
        return
    counting = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    found = [f for f in report.findings if f.severity in counting and not f.allowed]
    bare = report.verdict in LOST and not report.findings
    if found or bare:
        leaf = next((one for one in report.leaves if found and one.name == found[0].leaf), None)
        leaf = leaf or (report.leaves[0] if report.leaves else None)
        if leaf is None:
            raise GradientLost("\n".join(map(fact, found)) or report.headline)
        raise GradientLost("\n".join(lost(report, leaf, picture_dir)))


def keep(report: Report, folder: Path) -> list[str]:
    """Write the report into a folder of its own, in every form that there is; a line for each."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [f"report: none, cannot write {folder}: {error.strerror or error}"]
    return saved(report, folder / "report", _KEPT)


def properties(report: Report, base: Path) -> Iterator[tuple[str, str]]:
    """The verdict, and each finding that counts, with paths from `base` on."""
    yield VERDICT, report.verdict
    for finding in report.findings:
        if finding.severity != "note" and not finding.allowed:
            place = _place(finding.cause, base)
            yield FINDING, f"{finding.code} {finding.name} at {place}"


def _place(frame: Frame, base: Path) -> str:
    inside = frame.file.startswith(f"{base}{os.sep}")
    return frame.place[len(str(base)) + 1 :] if inside else frame.place


def summary(tests: Iterable[tuple[str, Sequence[tuple[str, object]]]]) -> Iterator[str]:
    """Lines about all tests, each by its name and properties: how many, then what is not right."""
    seen = []
    for name, pairs in tests:
        verdicts = [str(value) for key, value in pairs if key == VERDICT]
        finding = next((str(value) for key, value in pairs if key == FINDING), "")
        if verdicts:
            seen.append((verdicts[0], name, finding))
        yield from (f"{name}: no report: {value}" for key, value in pairs if key == FAULT)
    if not seen:
        yield "no test called backward"
        return
    counts = Counter(verdict for verdict, _, _ in seen)
    listed = ", ".join(f"{counts[v]} {v}" for v in reversed(VERDICTS) if counts[v])
    yield f"{len(seen)} test{'s' * (len(seen) > 1)} called backward: {listed}"
    order: dict[str, int] = {verdict: place for place, verdict in enumerate(VERDICTS)}
    for verdict, name, finding in sorted(seen, key=lambda one: (order[one[0]], one[1])):
        if verdict != "flows" or finding:
            yield f"{verdict} {name}{f': {finding}' if finding else ''}"
