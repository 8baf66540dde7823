"""Two runs beside each other: what `gradprobe diff` says, as records.

`good` and `bad` are the two sides in the order in which they were given: what held, and what is
asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradprobe.records.report import (
    LOST,
    SEVERITIES,
    Answer,
    Finding,
    GradStats,
    Severity,
    Verdict,
)
from gradprobe.records.source import Frame

Kind = Literal["connected", "zero", "nonfinite", "value", "norm"]
Change = Literal["new", "gone", "same"]


@dataclass(frozen=True, slots=True)
class StagePair:
    """One stage in both runs. What only one run has is None in the other.

    `connected` is of the leaf that is compared, `grads` the statistics of the stage's gradient,
    `ratio` the bad norm over the good one where both are known, finite and not zero. `part` says
    how the two part here, None where they do not.
    """

    name: str
    step: int | None
    call: int | None
    at: tuple[Frame | None, Frame | None]
    there: tuple[bool, bool]
    connected: tuple[Answer | None, Answer | None]
    grads: tuple[GradStats | None, GradStats | None]
    ratio: float | None
    parts: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class LeafPair:
    """A leaf's verdict and gradient norm in both runs; None where a run has no such leaf."""

    name: str
    verdicts: tuple[Verdict | None, Verdict | None]
    norms: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class FindingChange:
    """A finding of one run or of both; of both, as the bad run has it."""

    change: Change
    finding: Finding


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where the two runs first part: by `kind`, at a stage of the bad run, or before the first.

    Gradient is followed from root to leaf: of zeros, of what is not finite and of norms the first
    stage is the one nearest the root. Connection and values are followed from leaf to root.
    `finding` is the index of the change that explains it. `at` is the line to blame, where one is
    known: that finding's, or the stage's own.
    """

    kind: Kind
    stage: str | None
    step: int | None
    call: int | None
    at: Frame | None
    sentence: str
    finding: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact of the environment that is another in the two runs."""

    what: str
    good: str
    bad: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports, compared. `tolerance` is the relative difference up to which numbers agree."""

    verdicts: tuple[Verdict, Verdict]
    headlines: tuple[str, str]
    leaf: str | None
    tolerance: float
    leaves: tuple[LeafPair, ...]
    stages: tuple[StagePair, ...]
    findings: tuple[FindingChange, ...]
    divergence: Divergence | None
    environment: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing about the gradient parts the two runs."""
        changed = any(change.change != "same" for change in self.findings)
        return self.divergence is None and not changed and self.verdicts[0] == self.verdicts[1]

    def worst_new(self) -> Severity | None:
        """The worst severity among new findings that count.

        A gradient that arrived in the good run alone is an error, unless what took it is accepted.
        """
        new = [change.finding for change in self.findings if change.change == "new"]
        lost = self.verdicts[1] in LOST and self.verdicts[0] not in LOST
        if lost and not any(finding.severity == "error" for finding in new):
            return "error"
        counting = {finding.severity for finding in new if not finding.allowed}
        return next((severity for severity in SEVERITIES if severity in counting), None)
