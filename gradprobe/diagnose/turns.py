"""Passes that are another leaf's turn: a detach keeps them off this one, on purpose.

A discriminator is trained on `fake.detach()`, and the noise behind it by a backward of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradprobe.graph.view import View
from gradprobe.records.op import Kind
from gradprobe.records.report import Finding


def of_others(views: Sequence[View]) -> frozenset[int]:
    """Which of a leaf's views are such passes.

    Each way to the leaf is detached explicitly, torch did not raise (so others got their gradient),
    and the same leaf gets gradient from a backward on another line.
    """
    giving = {v.root_at.place for v in views if v.root_at is not None and _gives(v)}
    return frozenset(
        number
        for number, view in enumerate(views)
        if _is_detached(view) and giving and not _is_at(view, giving)
    )


def as_notes(view: View, findings: Sequence[Finding]) -> list[Finding]:
    """What was found of such a pass, shown as no loss."""
    why = f", and another backward gives it gradient: {view.root_name} seems not meant for it"
    fix = f"nothing to do unless {view.root_name} should reach {view.leaf.name} too"
    return [replace(f, severity="note", message=f.message + why, fix=fix) for f in findings]


def _gives(view: View) -> bool:
    return not view.total and view.grad is not None and not view.zero and not view.nonfinite


def _is_detached(view: View) -> bool:
    shown = [found for found in view.breaks if not found.hidden]
    explicit = all(found.kind is Kind.DETACH and not found.grad_off for found in shown)
    ended_well = view.passed is not None and view.passed.raised is None
    return bool(view.total and ended_well and shown and explicit)


def _is_at(view: View, places: set[str]) -> bool:
    return view.root_at is None or view.root_at.place in places
