"""Whether gradient went through every call of the denoiser, and in words which it did not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradprobe.graph.cause import cause_of
from gradprobe.graph.passage import Passage, passage
from gradprobe.graph.view import Break, View
from gradprobe.records.report import Answer, DenoiserCall, Finding
from gradprobe.records.sampling import ModuleCall

_NAMED = 5  # of calls that are told one by one


@dataclass(frozen=True, slots=True)
class Through:
    """One denoiser call on the way from one leaf to its root, and what gradient did there.

    `number` counts the calls inside the step. `loses`: some way inside the call is cut, whether or
    not another one carries gradient; `closed`: the call was taken as one op.
    """

    call: ModuleCall
    step: int | None
    number: int
    entered: Answer
    left: Answer
    loses: bool
    closed: bool


def through(view: View, findings: Sequence[Finding]) -> tuple[Through, ...]:
    """The denoiser's calls in order of time, each with what gradient did there.

    A call that feeds the root by no way but one that is meant to be cut (a rejected attempt of an
    adaptive solver, which only steers the step size) is left out.
    """
    shown = [found for found in view.breaks if not found.hidden]
    meant = frozenset(b.cut.result for b in shown if _is_meant(view, b, findings))
    way = passage(view.data, view.flow, meant)
    cut = sorted(b.cut.op for b in shown if b.cut.result not in meant)
    found = []
    steps = view.steps
    for call, step, number in zip(steps.calls, steps.steps, steps.within, strict=True):
        if way.feeds(call):
            loses = bisect_left(cut, call.to_op) > bisect_left(cut, call.from_op)
            closed = way.is_closed(call)
            found.append(Through(call, step, number, *_judged(view, way, call), loses, closed))
    return tuple(found)


def _is_meant(view: View, found: Break, findings: Sequence[Finding]) -> bool:
    """Whether a cut loses nothing: one that a note explains, or values that only choose."""
    if view.total:
        return False
    cause = cause_of(found, findings)
    return cause.meant or (cause.finding is None and not found.result.differentiable)


def _judged(view: View, way: Passage, call: ModuleCall) -> tuple[Answer, Answer]:
    """Entered and left: by the graph, as far as backward has shown that the graph is right."""
    entered, left = way.entered(call), way.left(call)
    passed = view.passed
    if entered == "unknown" and passed is not None:
        measured = [passed.measured[v] for v in call.outputs if v in passed.measured]
        if any(m.grad is not None for m in measured):
            entered = "yes"
            left = way.left(call, came_in=True)
    if entered == "yes" and _stopped(view):
        entered = "unknown"
    # A whole way that gave no gradient to the leaf has lost it somewhere that was not seen.
    if left == "yes" and (entered == "unknown" or view.total):
        left = "unknown"
    return entered, left


def _stopped(view: View) -> bool:
    """Whether torch raised, so that no gradient is known to have come by."""
    return view.refused is not None or (view.passed is not None and view.passed.raised is not None)


def rows_of(views: Sequence[View], calls: Sequence[Sequence[Through]]) -> tuple[DenoiserCall, ...]:
    """The report's rows: of the first view's root, with one answer for each leaf that has a way.

    A leaf that joins later (noise of a later step) has no answer for calls before it.
    """
    if not views:
        return ()
    roots = views[0].flow.roots
    beside = [(v, c) for v, c in zip(views, calls, strict=True) if v.flow.roots == roots]
    _, most = max(beside, key=lambda pair: len(pair[1]))
    left: dict[int, dict[str, Answer]] = {}
    for view, found in beside:
        for one in found:
            left.setdefault(one.call.from_op, {})[view.leaf.name] = one.left
    return tuple(_row(one, left[one.call.from_op]) for one in most)


def _row(one: Through, left: Mapping[str, Answer]) -> DenoiserCall:
    call = one.call
    return DenoiserCall(
        step=one.step,
        call=one.number,
        name=call.name,
        at=call.at,
        sigma=call.sigma,
        entered=one.entered,
        left=left,
    )


def loss_in(calls: Sequence[Through], view: View) -> str | None:
    """What the denoiser's calls lose of a leaf's gradient, in one sentence; None if nothing."""
    dead = [one for one in calls if one.left == "no"]
    live = sum(one.left == "yes" for one in calls)
    count = len(calls)
    if len(dead) == count > 0:
        none = f"0 of {count} call" + ("" if count == 1 else "s")
        leaf = view.leaf.name
        if view.grad is None:
            return f"no gradient of {view.root_name} goes through the denoiser to {leaf}: {none}"
        return f"{leaf} has a gradient, and none of it went through the denoiser: {none}"
    if dead:
        verb = "carries" if count == 1 else "carry"
        return f"{live} of {count} denoiser calls {verb} gradient: {_which(calls, dead)}"
    losing = sum(one.loses for one in calls)
    if losing:
        verb = "loses" if losing == 1 else "lose"
        return (
            f"{live} of {count} denoiser calls carry gradient, "
            f"and {losing} of {count} {verb} a part of it inside"
        )
    return None


def _which(calls: Sequence[Through], dead: Sequence[Through]) -> str:
    """Which calls are dead, by their place in the step, by step, or by their place in the run."""
    do = "does not" if len(dead) == 1 else "do not"
    if all(one.step is not None for one in dead):
        numbers = {one.number for one in dead}
        steps = sorted({one.step for one in dead if one.step is not None})
        stepped = [one for one in calls if one.step is not None]
        same = [one for one in stepped if one.number in numbers]
        if len(steps) > 1 and len(dead) == len(same) < len(stepped):
            do = "does not" if len(numbers) == 1 else "do not"
            return f"the {_series([_ordinal(n) for n in sorted(numbers)])} call of every step {do}"
        if len(dead) == sum(one.step in steps for one in calls):
            those = "that of step" if len(dead) == 1 else "those of step"
            plural = "" if len(steps) == 1 else "s"
            return f"{those}{plural} {_span(steps)} {do}"
    places = [place for place, one in enumerate(calls) if one.left == "no"]
    return f"the {_series([_ordinal(n) for n in places])} {do}"


def _span(numbers: Sequence[int]) -> str:
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return _series([str(n) for n in numbers])


def _series(words: Sequence[str]) -> str:
    if len(words) > _NAMED:
        words = [*words[: _NAMED - 1], f"{len(words) - _NAMED + 1} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _ordinal(number: int) -> str:
    """`1st` for 0."""
    count = number + 1
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{'th' if 10 <= count % 100 <= 20 else ending}"
