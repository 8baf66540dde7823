"""Breaks made by a stretch without gradient recording: shared by GP102 and GP103."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import Break, View
from gradprobe.records.op import GRAD_OFF
from gradprobe.records.trace import Region


def drafts(view: View, inference: bool) -> Iterator[Draft]:
    """A draft for each break that happened with recording off, by the given mode."""
    for found in view.breaks:
        if not found.grad_off or found.inference != inference:
            continue
        region = found.region
        draft = Draft(
            of=found,
            at=found.at,
            opened_by=region.opened_by if region else None,
            message=_message(view, found, region),
            fix=_fix(region),
        )
        if _step_control(view, found):
            draft = replace(
                draft,
                severity="note",
                message="a solver chose its step size without gradient: "
                f"{view.leaf.name}'s gradient treats the step size as a constant",
                fix="nothing to do unless the step size itself should be differentiated",
            )
        yield draft


def _message(view: View, found: Break, region: Region | None) -> str:
    lost = f"{view.leaf.name}'s gradient is lost"
    if region is None or region.opened_by is None:
        before = " already when tracing began" if region is not None else ""
        return f"gradient recording was off{before}, so {lost}"
    if region.how == "decorator":
        return f"{region.decorated} is decorated with @{region.by}, so {lost}"
    if region.how == "call":
        return f"{region.by} had switched gradient recording off, so {lost}"
    if region.opened_by.function != found.at.function or region.opened_by.file != found.at.file:
        return f"{lost} inside `with {region.by}` of {region.opened_by.function}"
    return f"{lost} inside `with {region.by}`"


def _fix(region: Region | None) -> str:
    if region is None or region.opened_by is None:
        return "switch gradient recording on around the run: `with torch.enable_grad():`"
    if region.how == "decorator":
        name = (region.decorated or "the function").split(".<locals>.")[-1]
        call = f"{name}.__wrapped__(...)"
        if "." in name:
            owner, _, method = name.rpartition(".")
            call = f"{owner}.{method}.__wrapped__(self, ...)"
        return f"call the undecorated function: {call}; or remove the decorator"
    if region.how == "call":
        return f"remove {region.by}, or switch recording on again before the sampler runs"
    return f"leave `with {region.by}` before values that feed the loss are computed"


def _step_control(view: View, found: Break) -> bool:
    """A library's choice of a step size: computed without gradient, one number, used as a factor.

    Adaptive solvers estimate their step from norms of the state. The derivative through that
    estimate is no part of the solution's gradient, so it is no loss. A step size has no dimensions:
    a variance of one image, kept as (1, 1), is none. Where no gradient arrives at all, it is none
    either unless something else is to blame for that.
    """
    if not _is_one_number(view, found):
        return False
    return not view.total or any(not _is_one_number(view, other) for other in view.breaks)


def _is_one_number(view: View, found: Break) -> bool:
    """Whether a library had switched recording off, and only numbers without dimensions left."""
    opened = found.region.opened_by if found.region else None
    if opened is None or not opened.installed:
        return False
    waiting, seen = [found.cut.result], set()
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        for op in view.users(value):
            if not view.trace.ops.flags_of(op) & GRAD_OFF:
                if view.trace.values.describe(value).shape:
                    return False  # more than a step size leaves the stretch
                continue
            waiting.extend(v for v in view.data.outputs(op) if v in view.flow.between)
    return True
