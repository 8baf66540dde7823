"""The boxes of a picture: what each says of its ops, and of the gradient that comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradprobe.graph.points import Point
from gradprobe.graph.view import View
from gradprobe.graph.worth import Gradients
from gradprobe.records.picture import Box, State
from gradprobe.records.source import Frame


class Boxes:
    """Makes boxes for ops and points of a view.

    `cuts` are the ops that lose gradient, `turned` those that make it zero or not finite, or at
    which backward raised; with the numbers of their findings.
    """

    def __init__(
        self,
        view: View,
        gradients: Gradients,
        cuts: Mapping[int, int | None],
        turned: Mapping[int, int],
    ) -> None:
        self._view = view
        self._gradients = gradients
        self._cuts = cuts
        self._turned = turned

    def point(self, point: Point) -> Box:
        """One named point."""
        return Box(
            point.key,
            "stage",
            point.label,
            point.detail,
            point.state,
            point.at,
            point.step,
            norm=self._norm(point.op),
        )

    def op(self, op: int, point: Point | None) -> Box:
        """One op, by the name of its result if that has one."""
        view = self._view
        at = view.place_of(op)
        name = view.trace.ops.callee_of(op).name.removeprefix("torch.").removeprefix("Tensor.")
        return Box(
            key=f"op{op}",
            kind="op" if point is None else "stage",
            label=name if point is None else point.label,
            detail=_written(at),
            state=self._state(op),
            at=at,
            step=view.steps.of(op) if point is None else point.step,
            norm=self._norm(op),
            finding=self._cuts.get(op, self._turned.get(op)),
        )

    def calls(self, calls: Sequence[Point]) -> Box:
        """One box for the calls of one step that nothing drawn lies between."""
        first = calls[0]
        at = first.detail.partition(", ")[0]
        detail = f"{at}, {len(calls)} calls"
        return Box(
            first.key,
            "stage",
            first.label,
            detail,
            _common(calls),
            first.at,
            first.step,
            norm=self._norm(calls[-1].op),
        )

    def fold(self, stretch: Sequence[Point]) -> Box:
        """One box for a stretch of turns."""
        steps = self._view.steps
        state = _common(stretch)
        turns = sorted({point.turn for point in stretch if point.turn is not None})
        unit = "call" if steps.calls and steps.steps[0] is None else "step"
        if not turns:
            label, count = f"{len(stretch)} stages", ""
        elif len(turns) == 1:
            label, count = f"{unit} {turns[0]}", ""
        else:
            label, count = f"{unit}s {turns[0]}-{turns[-1]}", f"{len(turns)} {unit}s"
        detail = ", ".join(filter(None, (count, "healthy" if state == "live" else "")))
        first = turns[0] if turns else None
        return Box(
            f"fold{stretch[0].op}",
            "fold",
            label,
            detail,
            state,
            None,
            first,
            norm=self._norm(stretch[-1].op),
            last_step=turns[-1] if turns else None,
        )

    def run(self, ops: Sequence[int]) -> Box:
        """One box for ops that one function ran one after the other."""
        view = self._view
        at = view.place_of(ops[0])
        states = {self._state(op) for op in ops}
        return Box(
            f"run{ops[0]}",
            "fold",
            at.function if at is not None else "",
            f"{len(ops)} ops" if len(ops) > 1 else _written(at),
            states.pop() if len(states) == 1 else "partial",
            at,
            view.steps.of(ops[0]),
            norm=self._norm(ops[-1]),
        )

    def _state(self, op: int) -> State:
        if op in self._cuts:
            return "cut"
        if op in self._turned:
            raised, nonfinite = self._view.raised, self._view.nonfinite
            return "cut" if raised else "nonfinite" if nonfinite else "zero"
        return self._gradients.state(self._view.data.outputs(op))

    def _norm(self, op: int) -> float | None:
        return self._gradients.norm(self._view.data.outputs(op))


def _written(at: Frame | None) -> str:
    """The expression as it stands in the source, as far as its first line."""
    if at is None:
        return ""
    return at.expression if at.end_line == at.line else f"{at.expression} ..."


def _common(points: Sequence[Point]) -> State:
    states = {point.state for point in points}
    return states.pop() if len(states) == 1 else "partial"
