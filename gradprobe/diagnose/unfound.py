"""What to say of a denoiser that the user named and that was not found."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from gradprobe.graph.denoiser import names_of
from gradprobe.graph.view import View
from gradprobe.records.trace import Trace


def unfound(trace: Trace, views: Sequence[View]) -> list[str]:
    """A sentence with the nearest names there are; none where it was found or not asked for."""
    name = trace.denoiser
    if name is None or any(view.steps.calls for view in views):
        return []
    known = {found for call in trace.calls for found in names_of(trace, [call])}
    known |= set(trace.called_at.values())
    known |= {text.rpartition(".")[2] for text in trace.function_names}
    near = get_close_matches(name, sorted(known), n=3)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return [f"denoiser {name!r}: nothing of that name was called between leaf and root{hint}"]
