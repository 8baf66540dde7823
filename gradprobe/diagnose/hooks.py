"""What the program's own gradient hooks did on the way to one leaf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradprobe.graph.view import View
from gradprobe.records.backward import HookChange
from gradprobe.records.report import GradStats

Effect = Literal["dropped", "zero", "nonfinite", "changed"]


@dataclass(frozen=True, slots=True)
class Hooked:
    """A change that concerns a leaf; `op` made what the gradient is of, -1 for the leaf itself.

    `sure` says that what the gradient is of was seen to lie on the way.
    """

    change: HookChange
    effect: Effect
    op: int
    sure: bool


def hooked(view: View) -> Iterator[Hooked]:
    """The changes on the way from root to leaf, in the order in which gradient met them."""
    if view.passed is None:
        return
    for change in view.passed.hooks:
        effect = _effect(change)
        op = view.data.producer[change.value] if change.value >= 0 else change.op
        if change.value in view.leaf.values:
            yield Hooked(change, effect, -1, True)
        elif change.on == "accumulated":
            continue
        elif change.value >= 0:
            if change.value in view.flow.connected:
                yield Hooked(change, effect, op, True)
        elif op >= 0:
            if any(v in view.flow.connected for v in view.data.outputs(op)):
                yield Hooked(change, effect, op, True)
        else:
            yield Hooked(change, effect, -1, False)


def kept(view: View) -> HookChange | None:
    """What the last hook left in the leaf's `.grad` after gradient had come, if one changed it."""
    found = [h.change for h in hooked(view) if h.change.on == "accumulated"]
    return found[-1] if found else None


def spoiled(view: View) -> Effect | None:
    """What hooks that ran when `.grad` was written made of it; None if the gradient is well."""
    change = kept(view)
    if change is None or change.taken:
        return None
    effect = _effect(change)
    return None if effect == "changed" else effect


def _effect(change: HookChange) -> Effect:
    before, after = change.before, change.after
    if after is None:
        return "dropped"
    if _zero(after) and not _zero(before):
        return "zero"
    if after.nonfinite and not before.nonfinite:
        return "nonfinite"
    return "changed"


def _zero(stats: GradStats) -> bool:
    return not stats.nonfinite and stats.abs_max == 0
