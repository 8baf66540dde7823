"""At which ops of the run the findings were made that no cut shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.diagnose.turning import born, ended
from gradprobe.graph.forward_birth import first_not_finite
from gradprobe.graph.view import View
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame

_REFUSED = "GP2"  # what backward raises for, though no op on the way stops gradient
SAVED = "saved by"  # the word for the op that had kept what was written over


def origins(view: View, findings: Sequence[Finding]) -> dict[int, int]:
    """Ops that made the leaf's gradient zero, or not finite, or at which backward raised.

    Each with its finding's number. Of the ops of one line the one in the finding's step comes
    first. Zero and non-finite ones are known only where nodes were measured.
    """
    numbers: dict[Frame, int] = {}
    for number, finding in enumerate(findings):
        if finding.leaf != view.leaf.name or finding.severity != "error":
            continue
        if finding.code.startswith(_REFUSED) or not view.raised:
            at = next((r.at for r in finding.related if r.word == SAVED), finding.at)
            numbers.setdefault(at, number)
    found: dict[int, int] = {}
    for op in _ops(view):
        place = view.place_of(op)
        made = None if place is None else numbers.get(place)
        if made is not None:
            found.setdefault(op, made)
    ordered = sorted(
        found.items(), key=lambda item: view.steps.of(item[0]) != findings[item[1]].step
    )
    return dict(ordered[:1] if view.raised else ordered)  # backward ended there


def _ops(view: View) -> Iterator[int]:
    if view.zero:
        yield from (turn.node.op for turn in ended(view) if turn.node.op >= 0)
    elif view.nonfinite:
        for turn in born(view):
            op = first_not_finite(view.data, turn.node.op)
            yield from (each for each in (op, turn.node.op) if each is not None and each >= 0)
    elif view.raised:
        yield from reversed(view.flow.ops)  # backward comes to the last one first
