"""Healthy: is the gradient that arrived worth anything."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.diagnose.hooks import spoiled
from gradprobe.diagnose.stages import stages_of
from gradprobe.graph.view import View
from gradprobe.records.report import WRONG, Finding, Layer, Verdict

_SPOILED = {
    "dropped": "the gradient is gone",
    "zero": "the gradient is exactly zero",
    "nonfinite": "the gradient is NaN or Inf",
}


def healthy(view: View, findings: Sequence[Finding], verdict: Verdict, converged: bool) -> Layer:
    """Whether the gradient is finite and not all zero, at the leaf and at every stage."""
    grad = view.grad
    if grad is None:
        return Layer("unknown", "there is no gradient to look at")
    after = spoiled(view)
    if after is not None:
        return Layer("no", f"{_SPOILED[after]} after a hook of {view.leaf.name}")
    if verdict == "nonfinite":
        return Layer("no", f"{grad.nonfinite} elements of the gradient are NaN or Inf")
    if verdict == "zero":
        return Layer("no", "the gradient is exactly zero everywhere")
    size = f"finite, norm {grad.norm:.3g}, {grad.zero_fraction:.0%} zeros"
    wrong = [f for f in findings if f.code in WRONG and f.severity == "error"]
    if any(f.certainty == "proven" for f in wrong):
        return Layer("no", f"{size}, and wrong: computed from values that were written over")
    if wrong:
        return Layer("unknown", f"{size}, and perhaps wrong")
    if converged:
        return Layer(
            "yes",
            f"{size}, until {view.root_name} was at its lowest; exactly zero from then on, "
            "as nothing was left to improve",
        )
    return _at_stages(view, size)


def _at_stages(view: View, size: str) -> Layer:
    """Of a leaf that is well: what came by at the stages.

    A stage with an exact zero is connected, with coefficient 0: a schedule's last step does that by
    right. One that is not finite is masked out before the leaf.
    """
    zero: list[str] = []
    for stage in stages_of(view.trace, [view]):
        if stage.grad is None or stage.connected.get(view.leaf.name) != "yes":
            continue
        place = stage.name if stage.step is None else f"{stage.name} of step {stage.step}"
        if stage.grad.nonfinite:
            return Layer("no", f"{size}, but NaN or Inf at {place}")
        if stage.grad.abs_max == 0:
            zero.append(place)
    if not zero:
        return Layer("yes", size)
    more = f" and {len(zero) - 1} more" if len(zero) > 1 else ""
    return Layer("yes", f"{size}; connected with coefficient 0 at {zero[0]}{more}")
