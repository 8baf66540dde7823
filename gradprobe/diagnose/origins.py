"""At which ops of the run the findings about zero and non-finite gradients were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.diagnose.turning import born, ended
from gradprobe.graph.forward_birth import first_not_finite
from gradprobe.graph.view import View
from gradprobe.records.report import Finding


def origins(view: View, findings: Sequence[Finding]) -> dict[int, int]:
    """Ops that made the leaf's gradient zero, or not finite: each with its finding's number.

    Empty where the gradient is sound and where nodes were not measured. Of the ops of one line the
    one in the finding's step comes first.
    """
    numbers = {
        (finding.at.file, finding.at.line): number
        for number, finding in reversed(list(enumerate(findings)))
        if finding.leaf == view.leaf.name and finding.severity == "error"
    }
    found: dict[int, int] = {}
    for op in _ops(view):
        at = view.place_of(op)
        number = None if at is None else numbers.get((at.file, at.line))
        if number is not None:
            found.setdefault(op, number)
    return dict(
        sorted(found.items(), key=lambda item: view.steps.of(item[0]) != findings[item[1]].step)
    )


def _ops(view: View) -> Iterator[int]:
    if view.zero:
        yield from (turn.node.op for turn in ended(view) if turn.node.op >= 0)
    elif view.nonfinite:
        for turn in born(view):
            op = first_not_finite(view.data, turn.node.op)
            yield from (each for each in (op, turn.node.op) if each is not None and each >= 0)
