"""A hook of the program changed a gradient on its way to the leaf.

`tensor.register_hook`, a module's full backward hook and a hook on a node may return another
gradient in place of the one that they are given, or write to it (`grad.zero_()`). A hook for
`register_post_accumulate_grad_hook` runs when a leaf's `.grad` is there, and may zero or drop it
(`p.grad = None`) before anything has used it. What autograd computed is then not what arrives, and
the graph shows nothing of it. The finding names the function that did it, and as its cause the line
that registered it.

A hook that makes all of a gradient zero, NaN or Inf is an error if the leaf's gradient is so, and a
warning if other ways carry gradient to the leaf. One that clips, scales or masks it is a note: that
is what hooks are for. One that only looks is not told of.

Return None from a hook that only looks, and remove a hook that is no longer wanted:
`handle = x.register_hook(...)`, `handle.remove()`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradprobe.diagnose.hooks import Hooked, hooked
from gradprobe.diagnose.rule import Draft
from gradprobe.graph.view import View
from gradprobe.records.report import SEVERITIES, Severity
from gradprobe.records.source import Frame

CODE = "GP206"
NAME = "hook-changed-gradient"

BREAKS = """
import torch


def silence(grad):  # <- GP206
    return grad * 0


z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
x.register_hook(silence)  # <- opens
loss = (0.7 * x + 0.1).pow(2).mean()
loss.backward()
"""

CLEAN = """
import torch

norms = []


def look(grad):
    norms.append(grad.norm())


z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
x.register_hook(look)
x.register_hook(lambda grad: grad.clamp(-1.0, 1.0))
loss = (0.7 * x + 0.1).pow(2).mean()
loss.backward()
"""


def check(view: View) -> Iterator[Draft]:
    """Each place whose hook changed a gradient of this leaf: its worst change, and how often."""
    stopped = view.passed is not None and view.passed.raised is not None
    found: dict[str, list[tuple[Severity, Hooked, Frame]]] = {}
    for one in hooked(view):
        at = one.change.at or one.change.registered or view.root_at
        severity = "note" if stopped else _severity(view, one)
        if at is not None and severity is not None:
            found.setdefault(at.place, []).append((severity, one, at))
    for same in found.values():
        severity, one, at = min(same, key=lambda entry: SEVERITIES.index(entry[0]))
        opened = one.change.registered
        proven = one.sure and one.effect != "dropped"
        yield Draft(
            at=at,
            op=one.op if one.change.at_op < 0 else one.change.at_op,
            step=_step(view, one),
            opened_by=None if opened is None or opened.line == at.line else opened,
            severity=severity,
            certainty="proven" if proven else "suspected",
            count=len(same),
            message=_message(view, one),
            fix=_fix(one),
        )


def _severity(view: View, one: Hooked) -> Severity | None:
    """None: not worth a word, as it is not known to concern this leaf or is what hooks do."""
    if one.change.on == "accumulated":
        return _of_accumulated(one)
    if one.effect == "zero" and (view.zero or one.sure):
        return "error" if view.zero else "warning"
    if one.effect == "nonfinite" and (view.nonfinite or one.sure):
        return "error" if view.nonfinite else "warning"
    if one.effect == "dropped" and (view.total or one.sure):
        return "error" if view.total else "warning"
    return "note" if one.sure else None


def _of_accumulated(one: Hooked) -> Severity | None:
    """A `.grad` that is dropped after use saves memory; so does one that is zeroed after it."""
    if one.change.taken and one.effect in ("dropped", "zero"):
        return None
    return "note" if one.effect == "changed" else "error"


def _step(view: View, one: Hooked) -> int | None:
    """The step in which the hook was put on its tensor."""
    change = one.change
    return view.steps.of(change.at_op - 1, change.where) if change.at_op > 0 else None


def _message(view: View, one: Hooked) -> str:
    change, leaf = one.change, view.leaf.name
    name = change.name.rsplit(".", 1)[-1]
    who = {"": "a hook", "<lambda>": "a lambda"}.get(name, name)
    what = f"{leaf}.grad" if change.on == "accumulated" else "a gradient"
    if change.on != "accumulated" and one.op < 0 and one.sure:
        what = f"the gradient of {leaf}"
    before = f"norm {change.before.norm:.3g}"
    if change.after is None:
        if change.on == "accumulated":
            return f"{who} dropped {what} ({before}), and nothing was seen to use it first"
        return f"{who}, a backward hook, gave None for {what} ({before})"
    after = {
        "zero": "exactly zero",
        "nonfinite": f"{change.after.nonfinite} elements NaN or Inf",
    }.get(one.effect, f"norm {change.after.norm:.3g}")
    return f"{who}, a backward hook, changed {what}: {before} before it, {after} after it"


def _fix(one: Hooked) -> str:
    if one.effect == "changed":
        return "nothing, if it is meant to clip, scale or mask; else return None from the hook"
    if one.change.on == "accumulated":
        return "use the gradient in the hook before it is cleared, or remove the hook"
    return "return None (or the gradient itself) from the hook, or remove it: handle.remove()"
