"""Where two runs first part, with the line to blame."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.records.comparison import Divergence, FindingChange, Kind, StagePair
from gradprobe.records.report import GradStats

# What is lost comes before what is worth nothing, and that before what is only another number; what
# the forward computed comes before the gradient that follows from it.
_ORDER: tuple[Kind, ...] = ("connected", "nonfinite", "zero", "value", "norm")
_FROM_THE_ROOT = frozenset({"nonfinite", "zero", "norm"})


def divergence_of(
    stages: Sequence[StagePair], findings: Sequence[FindingChange], leaf: str | None
) -> Divergence | None:
    """The first of the worst kind of difference; a new finding is one in any case."""
    explained = _explaining(findings)
    for kind in _ORDER:
        parted = [pair for pair in stages if kind in pair.parts]
        if parted:
            pair = parted[-1] if kind in _FROM_THE_ROOT else parted[0]
            at = pair.at[1]
            if explained is not None:
                at = findings[explained].finding.cause
            told = _sentence(kind, pair, leaf)
            return Divergence(kind, pair.name, pair.step, pair.call, at, told, explained)
    if explained is None:
        return None
    finding = findings[explained].finding
    return Divergence(
        "connected",
        finding.stage,
        finding.step,
        None,
        finding.cause,
        finding.message,
        explained,
    )


def _explaining(findings: Sequence[FindingChange]) -> int | None:
    """The first new finding, an error before a warning, but for notes and what is accepted."""
    counting = enumerate(findings)
    new = [(n, c.finding) for n, c in counting if c.change == "new" and not c.finding.allowed]
    for severity in ("error", "warning"):
        for number, finding in new:
            if finding.severity == severity:
                return number
    return None


def _sentence(kind: Kind, pair: StagePair, leaf: str | None) -> str:
    name = leaf if leaf is not None else "the leaf"
    good, bad = pair.grads
    match kind:
        case "connected":
            if pair.connected[1] == "no":
                return f"its gradient reached {name}, and does no longer"
            return f"its gradient did not reach {name}, and does now"
        case "nonfinite" | "zero":
            return f"its gradient was {_sort(good)}, and is {_sort(bad)} now"
        case "norm":
            assert good is not None
            assert bad is not None
            return f"its gradient's norm was {good.norm:.3g}, and is {bad.norm:.3g} now"
        case "value":
            return "its values are others, before any gradient is looked at"


def _sort(grad: GradStats | None) -> str:
    if grad is None:
        return "not there"
    if grad.nonfinite:
        return "not finite"
    return "zero" if grad.abs_max == 0 else f"of norm {grad.norm:.3g}"
