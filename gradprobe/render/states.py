"""What a leaf's gradient does at a stage, in the words that the table and the strip share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradprobe.records.report import Answer, GradStats, Report, Stage

LIVE, LOST, MIXED, UNKNOWN = "live", "lost", "partly", "unknown"
MISSED = "missed"  # its way to the leaf is whole, and no gradient comes to it
ZERO, NONFINITE = "zero", "nan/inf"  # gradient comes, and is worth nothing
APART = "-"  # it is no way to the leaf, and need not be
_STATE: dict[Answer, str] = {"yes": LIVE, "no": LOST, "unknown": UNKNOWN}
_WHOLE, _CUTS = frozenset({"flows", "zero", "nonfinite"}), "GP1"
NOISE, _OUTPUT, _FINAL = "step_noise", "denoised_output", "final_output"


@dataclass(frozen=True, slots=True)
class States:
    """`noise` are the leaves that step noise has lost; for others it is drawn apart from them.

    Most samplers draw fresh noise for each step. That it leads to no leaf is no loss, unless a
    finding says that it should have. `whole` are the leaves from which no way is cut: what does not
    lead to one of these was made without it.

    `through` says of a leaf that some gradient reaches, a step and the number of a denoiser's call
    in it whether gradient goes through that call; without a number, of all calls of the step.
    `alone` are the steps with one record of the denoised output that is no call's own: what
    guidance made of several.
    """

    noise: frozenset[str]
    whole: frozenset[str]
    through: Mapping[tuple[str, int | None, int | None], set[bool]]
    alone: frozenset[int]

    @classmethod
    def told_by(cls, report: Report) -> States:
        """What the findings and the denoiser's calls say beyond the records."""
        arrives = [x.name for x in report.leaves if x.layers.connected.answer == "yes"]
        way = on_the_way(report.stages, [leaf.name for leaf in report.leaves])
        guided = Counter(s.step for s in way if s.name == _OUTPUT and s.call is None)
        through: dict[tuple[str, int | None, int | None], set[bool]] = {}
        for call in report.calls:
            for leaf in arrives:
                passes = "no" not in (call.entered, call.left.get(leaf))
                for number in (call.call, None):
                    through.setdefault((leaf, call.step, number), set()).add(passes)
        cut = {f.leaf for f in report.findings if f.code.startswith(_CUTS)}
        return cls(
            frozenset(f.leaf for f in report.findings if f.stage == NOISE),
            frozenset(x.name for x in report.leaves if x.verdict in _WHOLE and x.name not in cut),
            through,
            frozenset(step for step, count in guided.items() if step is not None and count == 1),
        )

    def of(self, stage: Stage, leaf: str) -> str:
        """One of the words above."""
        state = _STATE[stage.connected.get(leaf, "unknown")]
        if state == LOST and stage.name == NOISE and leaf not in self.noise:
            return APART
        if state == LOST and leaf in self.whole:
            return APART
        if state != LIVE or stage.name != _OUTPUT:
            return state
        if stage.call is None and stage.step not in self.alone:
            return state
        calls = self.through.get((leaf, stage.step, stage.call), set())
        return LIVE if False not in calls else MIXED if True in calls else MISSED


def worth(state: str, grad: GradStats | None) -> str:
    """The word for a stage that gradient comes to: connected with a zero is not cut."""
    if state != LIVE or grad is None:
        return state
    if grad.nonfinite:
        return NONFINITE
    return ZERO if grad.abs_max == 0 else LIVE


def worths(stages: Sequence[Stage], states: Sequence[str]) -> list[str]:
    """The states of stages in order, with what the gradient of each is worth.

    One whose gradient was not measured is as its neighbours are, where both agree.
    """
    known = [
        worth(state, stage.grad) if state == LIVE and stage.grad is not None else None
        for state, stage in zip(states, stages, strict=True)
    ]
    before = _carried(known)
    after = _carried(known[::-1])[::-1]
    return [
        own or (left if state == LIVE and left == right and left is not None else state)
        for state, own, left, right in zip(states, known, before, after, strict=True)
    ]


def _carried(known: Sequence[str | None]) -> list[str | None]:
    """Each place with the last thing known up to it."""
    last: str | None = None
    carried = []
    for one in known:
        last = one or last
        carried.append(last)
    return carried


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """As a sampler is told: the final output stands behind the last step, whose noise may follow.

    All else stays in order of time.
    """
    last = max((i for i, stage in enumerate(stages) if stage.step is not None), default=-1)
    early = [s for s in stages[:last] if s.name == _FINAL and s.step is None]
    rest = [s for s in stages[: last + 1] if not (s.name == _FINAL and s.step is None)]
    return [*rest, *early, *stages[last + 1 :]]


def on_the_way(stages: Sequence[Stage], leaves: Iterable[str]) -> list[Stage]:
    """Without those of other runs, whose values feed no root that was looked at.

    What the user named stays, for that it feeds nothing may be what they look for.
    """
    names = set(leaves)
    kept = [
        stage
        for stage in stages
        if stage.source == "declared"
        or stage.name in names
        or any(stage.connected.get(name, "unknown") != "unknown" for name in names)
    ]
    return kept if len(kept) > len(names) else list(stages)


def common(states: Iterable[str]) -> str:
    """The one word for several stages; what stands apart has no say beside others."""
    seen = set(states)
    told = seen - {APART} or seen
    return next(iter(told)) if len(told) == 1 else MIXED
