"""What a leaf's gradient does at a stage, in the words that the table and the strip share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradprobe.records.report import Answer, Report, Stage

LIVE, LOST, MIXED, UNKNOWN = "live", "lost", "partly", "unknown"
MISSED = "missed"  # its way to the leaf is whole, and no gradient comes to it
APART = "-"  # it is no way to the leaf, and need not be
_STATE: dict[Answer, str] = {"yes": LIVE, "no": LOST, "unknown": UNKNOWN}
_NOISE, _OUTPUT, _FINAL = "step_noise", "denoised_output", "final_output"

Key = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class States:
    """`noise` are the leaves that step noise has lost; for others it is drawn apart from them.

    Most samplers draw fresh noise for each step. That it leads to no leaf is no loss, unless a
    finding says that it should have. `missed` are leaf, step and number of the denoiser's calls
    that gradient does not go through though some of it reaches the leaf.
    """

    noise: frozenset[str]
    missed: frozenset[Key]

    @classmethod
    def told_by(cls, report: Report) -> States:
        """What the findings and the denoiser's calls say beyond the records."""
        arrives = [x.name for x in report.leaves if x.layers.connected.answer == "yes"]
        return cls(
            frozenset(f.leaf for f in report.findings if f.stage == _NOISE),
            frozenset(
                (leaf, call.step, call.call)
                for call in report.calls
                for leaf in arrives
                if "no" in (call.entered, call.left.get(leaf))
            ),
        )

    def of(self, stage: Stage, leaf: str) -> str:
        """One of the words above; never `partly`, which is for several stages."""
        state = _STATE[stage.connected.get(leaf, "unknown")]
        if state == LOST and stage.name == _NOISE and leaf not in self.noise:
            return APART
        output = state == LIVE and stage.name == _OUTPUT
        return MISSED if output and (leaf, stage.step, stage.call) in self.missed else state


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """As a sampler is told: the final output stands behind the last step, whose noise may follow.

    All else stays in order of time.
    """
    last = max((i for i, stage in enumerate(stages) if stage.step is not None), default=-1)
    early = [s for s in stages[:last] if s.name == _FINAL and s.step is None]
    rest = [s for s in stages[: last + 1] if not (s.name == _FINAL and s.step is None)]
    return [*rest, *early, *stages[last + 1 :]]


def common(states: Iterable[str]) -> str:
    """The one word for several stages; what stands apart has no say beside others."""
    seen = set(states)
    told = seen - {APART} or seen
    return next(iter(told)) if len(told) == 1 else MIXED
