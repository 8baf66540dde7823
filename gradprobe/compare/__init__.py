"""Two reports of what should be one sampler: where do they part?

Nothing here touches torch or draws anything: reports in, a `Comparison` out.
"""

from __future__ import annotations

from gradprobe.compare.align import aligned
from gradprobe.compare.changes import changes_of, differences_of
from gradprobe.compare.divergence import divergence_of
from gradprobe.records.comparison import Comparison, LeafPair
from gradprobe.records.report import Leaf, Report, Verdict

TOLERANCE = 0.01


def compare(good: Report, bad: Report, tolerance: float = TOLERANCE) -> Comparison:
    """What parts `bad` from `good`. Numbers agree up to a relative difference of `tolerance`."""
    leaf = _leaf(good, bad)
    stages = aligned(good, bad, leaf, tolerance)
    findings = changes_of(good, bad)
    return Comparison(
        verdicts=(good.verdict, bad.verdict),
        headlines=(good.headline, bad.headline),
        leaf=leaf,
        tolerance=tolerance,
        leaves=_leaves(good, bad),
        stages=stages,
        findings=findings,
        divergence=divergence_of(stages, findings, leaf),
        environment=differences_of(good, bad),
    )


def _leaf(good: Report, bad: Report) -> str | None:
    """The leaf that stages are compared for: the worst of the bad run that both have."""
    known = {leaf.name for leaf in good.leaves}
    shared = [leaf for leaf in bad.leaves if leaf.name in known]
    lost = [leaf for leaf in shared if leaf.verdict == bad.verdict]
    first = next(iter(lost or shared or bad.leaves), None)
    return None if first is None else first.name


def _leaves(good: Report, bad: Report) -> tuple[LeafPair, ...]:
    one = {leaf.name: leaf for leaf in good.leaves}
    other = {leaf.name: leaf for leaf in bad.leaves}
    return tuple(
        LeafPair(
            name,
            (_verdict(one.get(name)), _verdict(other.get(name))),
            (_norm(one.get(name)), _norm(other.get(name))),
        )
        for name in dict.fromkeys((*one, *other))
    )


def _verdict(leaf: Leaf | None) -> Verdict | None:
    return None if leaf is None else leaf.verdict


def _norm(leaf: Leaf | None) -> float | None:
    return None if leaf is None or leaf.grad is None else leaf.grad.norm
