"""From a trace to a report: every leaf judged, the worst verdict first, and one sentence."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradprobe.diagnose.acceptance import Terms, Weighed, weigh
from gradprobe.diagnose.blind_spots import sentences
from gradprobe.diagnose.calls import Through, loss_in, rows_of, through
from gradprobe.diagnose.convergence import at_the_bottom
from gradprobe.diagnose.engine import findings_of
from gradprobe.diagnose.origins import origins
from gradprobe.diagnose.passes import alike, iteration_of, passes_of
from gradprobe.diagnose.refusals import stopped_by_program
from gradprobe.diagnose.stages import stages_of
from gradprobe.diagnose.turns import as_notes, of_others
from gradprobe.diagnose.unfound import unfound
from gradprobe.diagnose.verdict import UNSEEN, layers_of, verdict_of, worst
from gradprobe.diagnose.views import goals_of, views_of
from gradprobe.graph.collapse import picture_of
from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.outline import outline_of
from gradprobe.graph.view import View
from gradprobe.records.outline import NO_OUTLINE, Outline
from gradprobe.records.picture import Depth, Picture
from gradprobe.records.report import (
    BY_CAUSE,
    SEVERITIES,
    VERDICTS,
    WRONG,
    Cost,
    Counts,
    Finding,
    Leaf,
    Report,
    Root,
    Verdict,
)
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace


@dataclass(frozen=True, slots=True)
class Judged:
    """One leaf with the view that decides on it.

    `since` is the iteration in which that began, and of how many, where the first one was better.
    `beside` are findings of its other passes.
    """

    view: View
    findings: list[Finding]
    verdict: Verdict
    converged: bool = False  # passes with nothing left to improve were left out
    since: tuple[int, int] | None = None
    beside: tuple[Finding, ...] = ()


def report_of(trace: Trace, terms: Terms | None = None, depth: Depth = "auto") -> Report:
    """Diagnose a trace. Takes time linear in its ops, for each leaf. `depth` is the picture's.

    By the user's `terms` findings are left out or marked as accepted. The verdict is none of that.
    """
    terms = terms or Terms()
    began = time.perf_counter()
    data = dataflow(trace)
    judged = [_worst_of(views) for views in views_of(data)]
    judged.sort(key=lambda j: VERDICTS.index(j.verdict))
    findings = [f for j in judged for f in j.findings]
    findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    own = _one_a_line(findings)
    beside = _one_a_line([*own, *(f for j in judged for f in j.beside)])[len(own) :]
    weighed = weigh(own, beside, terms, trace.remarks, _files(judged))
    findings = weighed.shown
    verdict = _verdict(trace, judged)
    root = _root(trace, judged)
    views = [j.view for j in judged]
    calls = [through(j.view, j.findings) for j in judged]
    leaves = tuple(_leaf(trace, j, c) for j, c in zip(judged, calls, strict=True))
    in_calls = loss_in(calls[0], views[0]) if views else None
    since = judged[0].since if judged else None
    unseen = [*trace.unseen, *sentences(views), *unfound(trace, views), *weighed.sentences]
    if not judged and verdict != "no-root":
        unseen.append("no tensor was found that the program wants a gradient of: name one (--leaf)")
    return Report(
        environment=trace.environment,
        verdict=verdict,
        headline=_headline(verdict, leaves, weighed, root, in_calls, _stopped(trace), since),
        leaves=leaves,
        root=root,
        stages=stages_of(trace, views),
        findings=tuple(findings),
        counts=_counts(trace, views),
        unseen=tuple(unseen),
        cost=Cost(trace.record_bytes, trace.seconds, time.perf_counter() - began),
        picture=_picture(views, [*findings, *weighed.left], depth),
        outline=_outline(views, [*findings, *weighed.left]),
        calls=rows_of(views, calls),
        passes=passes_of(trace, [view.leaf for view in views]),
        autograd_dot=trace.autograd_dot,
        left_out=weighed.left_out,
    )


def _picture(views: Sequence[View], findings: Sequence[Finding], depth: Depth) -> Picture:
    """A cut keeps its label there, whether or not its finding is reported."""
    if not views:
        return Picture()
    return picture_of(views[0], findings, origins(views[0], findings), depth)


def _outline(views: Sequence[View], findings: Sequence[Finding]) -> Outline:
    if not views:
        return NO_OUTLINE
    return outline_of(views[0], findings, origins(views[0], findings))


def _files(judged: Sequence[Judged]) -> frozenset[str]:
    """Where the ops between leaves and roots stand."""
    sites = {j.view.trace.ops.site[op] for j in judged for op in j.view.flow.ops}
    frames = [judged[0].view.trace.frames[site] for site in sites] if judged else []
    return frozenset(frame.file for frame in frames if frame is not None)


def _worst_of(views: list[View]) -> Judged:
    """The first backward pass in which the leaf fared worst; the last pass if all are well.

    Passes after it had converged are not judged, and of another leaf's turns there are only notes.
    """
    bottom, others = at_the_bottom(views), of_others(views)
    every: list[Judged] = []
    notes: list[Finding] = []
    for number, view in enumerate(views):
        if number in bottom:
            continue
        findings = findings_of(view)
        if number in others:
            notes += as_notes(view, findings)
            continue
        every.append(Judged(view, findings, verdict_of(view, findings), bool(bottom)))
    chosen = min(range(len(every)), key=lambda number: VERDICTS.index(every[number].verdict))
    began = every[chosen]
    if began.view.trace.watched:
        chosen = _looked_into(every, chosen)
    worst_one = replace(every[chosen], beside=_others(every, chosen))
    if worst_one.verdict == "flows":
        return replace(every[-1], findings=[*every[-1].findings, *notes], beside=_others(every, -1))
    passed = began.view.passed
    first = next((j for j in every if alike(j.view, worst_one.view)), worst_one)
    if passed is None or first.verdict == worst_one.verdict:
        return replace(worst_one, findings=[*worst_one.findings, *notes])
    return replace(
        worst_one,
        findings=[*worst_one.findings, *notes],
        since=iteration_of(worst_one.view.trace, passed),
    )


def _looked_into(every: Sequence[Judged], chosen: int) -> int:
    """The first pass that fared as the chosen one did and shows why: it was recorded whole."""
    for number in range(chosen, len(every)):
        loud = [f for f in every[number].findings if f.severity != "note"]
        same = every[number].verdict == every[chosen].verdict
        proven = bool(loud) and all(f.certainty == "proven" for f in loud)
        if same and proven and alike(every[number].view, every[chosen].view):
            return number
    return chosen


def _others(every: Sequence[Judged], chosen: int) -> tuple[Finding, ...]:
    """What was lost in passes other than the chosen one."""
    passes = [*every[:chosen], *every[chosen:][1:]]
    return tuple(f for j in passes for f in j.findings if f.severity != "note")


def _one_a_line(findings: list[Finding]) -> list[Finding]:
    """Two leaves cut by one line are one finding; so are they if one `with` or decorator did it."""
    seen: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        places = [finding.at, finding.opened_by or finding.at]
        if finding.code in BY_CAUSE:
            places = [finding.cause]
        seen.setdefault((finding.code, *((p.file, p.line) for p in places)), finding)
    return list(seen.values())


def _verdict(trace: Trace, judged: Sequence[Judged]) -> Verdict:
    if not goals_of(trace):
        return "no-root"
    if judged:
        return worst([j.verdict for j in judged])
    raised = any(p.raised for p in trace.passes)
    return "broken" if raised else "flows"


def _root(trace: Trace, judged: Sequence[Judged]) -> Root | None:
    if judged:
        view = judged[0].view
        how = view.passed.how if view.passed is not None else "named"
        return Root(view.root_name, view.root_at, "named" if trace.named_root else how)
    goals = goals_of(trace)
    if not goals:
        return None
    last = goals[-1]
    return Root(last.name, last.at, last.passed.how if last.passed is not None else "named")


def _leaf(trace: Trace, judged: Judged, calls: Sequence[Through]) -> Leaf:
    mark = judged.view.leaf
    meta = trace.values.describe(mark.values[0])
    return Leaf(
        name=mark.name,
        at=mark.at,
        shape=meta.shape,
        dtype=meta.dtype,
        device=meta.device,
        requires_grad=mark.requires_grad,
        verdict=judged.verdict,
        layers=layers_of(judged.view, judged.findings, judged.verdict, calls, judged.converged),
        grad=judged.view.grad,
    )


def _counts(trace: Trace, views: Sequence[View]) -> Counts:
    first = views[0] if views else None
    passed = first.passed if first is not None else None
    return Counts(
        ops=len(trace.ops) + trace.forgotten_ops,
        nodes=passed.nodes if passed is not None else None,
        edges=passed.edges if passed is not None else None,
        steps=first.steps.count if first is not None else None,
        denoiser_calls=(len(first.steps.calls) or None) if first is not None else None,
    )


def _to_no_effect(root: str, findings: Sequence[Finding]) -> str:
    """Of gradient that flows and does not change what the next run starts from."""
    if not findings:
        return ""
    first = findings[0]
    perhaps = "perhaps " if first.certainty == "suspected" else ""
    return f"gradient of {root} reaches {first.leaf}, but {perhaps}to no effect"


def _stopped(trace: Trace) -> Frame | None:
    return next((p.at for p in reversed(trace.passes) if stopped_by_program(p)), None)


def _headline(
    verdict: Verdict,
    leaves: Sequence[Leaf],
    weighed: Weighed,
    root: Root | None,
    in_calls: str | None,
    stopped: Frame | None,
    since: tuple[int, int] | None,
) -> str:
    """The one sentence: what happened to which leaf, and where.

    `in_calls`: of the denoiser; `stopped` is a backward that an exception of the program's own
    ended; `since`: in which iteration, and of how many.
    """
    if verdict == "no-root" and stopped is not None:
        where = f" at {os.path.basename(stopped.file)}:{stopped.line}"
        return f"no-root: backward{where} was ended by an exception that is not autograd's"
    if verdict == "no-root":
        return "no-root: the program never called backward; name the tensor to start at (--root)"
    if not leaves:
        if verdict == "flows":
            return "flows: backward ran, but no leaf was found; name one (--leaf)"
        return f"{verdict}: nothing that feeds {root.name if root else 'the root'} requires grad"
    findings = weighed.shown
    leaf, name = leaves[0].name, root.name if root else "the root"
    if verdict == "flows" and (not findings or findings[0].severity == "note"):
        rest = "and no way to it is cut"
        if leaves[0].layers.complete.sentence == UNSEEN:
            rest = UNSEEN
        return f"flows: gradient of {name} reaches {leaf}, {rest}"
    wrong = bool(findings) and findings[0].code in WRONG and findings[0].severity == "error"
    alive = f"gradient reaches {leaf}, " + ("and is wrong" if wrong else "but not along every way")
    what = {
        "flows": _to_no_effect(name, findings),
        "partial": alive if wrong else (in_calls or alive),
        "broken": f"no gradient reaches {leaf}",
        "zero": f"{leaf}'s gradient is exactly zero",
        "nonfinite": f"{leaf}'s gradient is not finite",
        "error": "torch raised for a reason of autograd's",
    }[verdict]
    if since is not None:
        what += f" at iteration {since[0]} of {since[1]}"
    if not findings:
        without = "; its findings are left out (select, ignore)" if weighed.left else ""
        return f"{verdict}: {what}{without}"
    loud = (f for f in findings if f.severity != "note")
    first = next(loud, findings[0])
    elsewhere = "in another pass " if first in weighed.more else ""
    where = f"{os.path.basename(first.cause.file)}:{first.cause.line}"
    accepted = " (allowed)" if first.allowed else ""
    title = f"{elsewhere}{first.code} {first.name}{accepted}"
    return f"{verdict}: {what}; {title} at {where}: {first.message}"
