"""What is said of a leaf: the verdict, and the three questions kept apart."""

from __future__ import annotations

from collections.abc import Sequence

from gradprobe.diagnose.calls import Through, loss_in
from gradprobe.diagnose.health import healthy
from gradprobe.diagnose.hooks import spoiled
from gradprobe.graph.view import View
from gradprobe.records.op import REPLAYED
from gradprobe.records.report import VERDICTS, Complete, Finding, Layer, Layers, Verdict

_NO_GRAD = "does not require grad"
# Findings that are about no way of the gradient: torch stopped, it is wrong, or nobody knows.
_OF_NO_WAY = frozenset({"GP114", "GP302", "GP201", "GP202", "GP203", "GP204", "GP205"})
UNSEEN = "part of the way ran in code that could not be seen"
# Findings about what is done with a gradient that arrived.
OF_THE_UPDATE = frozenset({"GP401", "GP402", "GP403", "GP404"})


def verdict_of(view: View, findings: Sequence[Finding]) -> Verdict:
    """The verdict on one leaf, as the report contract defines it."""
    if view.refused is not None:
        return "error"
    said = view.passed.raised if view.passed is not None else None
    if said is not None and _NO_GRAD not in said and "not have been used" not in said:
        return "error"
    after = spoiled(view)
    if (
        after == "dropped"
        or view.total
        or any(f.code in ("GP109", "GP110") for f in findings if f.severity == "error")
    ):
        return "broken"
    if view.nonfinite or after == "nonfinite":
        return "nonfinite"
    if view.zero or after == "zero":
        return "zero"
    lost = any(f.severity != "note" and f.code not in OF_THE_UPDATE for f in findings)
    return "partial" if lost else "flows"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=VERDICTS.index)


def layers_of(
    view: View,
    findings: Sequence[Finding],
    verdict: Verdict,
    calls: Sequence[Through],
    converged: bool = False,
) -> Layers:
    """Connected, complete, healthy: each with the sentence that says why."""
    complete = _complete(view, findings, calls)
    return Layers(_connected(view), complete, healthy(view, findings, verdict, converged))


def _connected(view: View) -> Layer:
    leaf, root = view.leaf.name, view.root_name
    if view.total:
        return Layer("no", f"no autograd path leads from {root} to {leaf}")
    if view.grad is not None:
        return Layer("yes", f"gradient of {root} reached {leaf}")
    return Layer("yes", f"an autograd path leads from {root} to {leaf}")


def _complete(view: View, findings: Sequence[Finding], calls: Sequence[Through]) -> Complete:
    count = len(calls)
    if view.total:
        if not calls:
            return Complete("no", "no gradient arrives at all")
        return Complete("no", "no gradient arrives through any denoiser call", 0, count)
    live = sum(one.left == "yes" for one in calls)
    counted = (live, count) if calls else (None, None)
    through = loss_in(calls, view)
    if through is not None:
        return Complete("no", through, *counted)
    other = _OF_NO_WAY | OF_THE_UPDATE
    lost = [f for f in findings if f.severity != "note" and f.code not in other]
    if lost:
        ways = "one way" if len(lost) == 1 else f"{len(lost)} ways"
        verb = "carries" if len(lost) == 1 else "carry"
        sentence = f"{ways} from {view.leaf.name} to {view.root_name} {verb} no gradient"
        return Complete("no", sentence, *counted)
    closed = sum(one.closed for one in calls)
    if closed and all(one.entered == "yes" for one in calls):
        sentence = (
            f"gradient entered all {count} denoiser calls; the inside of {closed} is not known"
        )
        return Complete("unknown", sentence, *counted)
    if (view.doubts and not closed) or REPLAYED in view.trace.unseen:
        return Complete("unknown", UNSEEN, *counted)
    if live < count:
        sentence = f"{live} of {count} denoiser calls are known to carry gradient"
        return Complete("unknown", sentence, *counted)
    if calls:
        return Complete("yes", f"all {count} denoiser calls carry gradient", *counted)
    if view.refused is not None or (view.passed is not None and view.passed.raised is not None):
        return Complete("unknown", "torch stopped before gradient had gone every way")
    return Complete("yes", "every way that was seen carries gradient")
