"""What a straight-through estimator or its like breaks on purpose is a note that says so."""

from __future__ import annotations

import os
from dataclasses import replace

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.estimators import Estimator, estimator_of
from gradprobe.graph.view import View

_WHAT = {
    "estimator": "a straight-through estimator",
    "difference": "a difference that is zero by value and passes gradient",
    "ratio": "a ratio that is one by value and passes gradient",
}


def as_meant(view: View, draft: Draft) -> Draft | None:
    """The draft as a note that names the estimator; None if its break belongs to none."""
    if draft.of is None:
        return None
    found = estimator_of(view, draft.of)
    if found is None:
        return None
    what = _WHAT[found.how]
    return replace(
        draft,
        severity="note",
        opened_by=None,  # a loss under the same `with` is another finding
        message=_said(view, draft, found, what),
        fix=f"nothing to do: this is how {what} works",
    )


def _said(view: View, draft: Draft, found: Estimator, what: str) -> str:
    at = view.place_of(found.op)
    here = at is not None and (at.file, at.line) == (draft.at.file, draft.at.line)
    if found.off or here:
        return f"{what}: {view.leaf.name}'s gradient passes around this line by design"
    where = f" of {os.path.basename(at.file)}:{at.line}" if at is not None else ""
    return f"it lies within {what}{where}: {view.leaf.name}'s gradient passes around it by design"
