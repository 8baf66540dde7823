"""The arrows of a picture: how values come from one box to the next, and what gradient can go back.

A way is live only if every value on it keeps its gradient; it is cut if an op on it loses it, drawn
or not; past a cut it is lost. A way that is meant to end is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradprobe.graph.cause import Cause, cause_of
from gradprobe.graph.plan import Plan
from gradprobe.graph.view import View
from gradprobe.records.picture import Arrow, State
from gradprobe.records.report import Finding

_NEAR = 8  # an op between boxes leads back to so many of them at most
_NO_CAUSE = Cause("", None)


@dataclass(frozen=True, slots=True)
class _Way:
    """How values come from a box to where we stand."""

    state: State
    cause: Cause = _NO_CAUSE

    def through(self, live: bool, cause: Cause) -> _Way:
        """The same way, one op further."""
        return self if live or self.state not in ("live", "partial") else _Way("cut", cause)

    def beside(self, other: _Way | None) -> _Way:
        """Two ways between the same boxes: partly live where one carries gradient."""
        if other is None or other == self:
            return self
        cause = other.cause if other.cause.label else self.cause
        states = {self.state, other.state}
        if len(states) == 1:
            return _Way(self.state, cause)
        return _Way("cut" if states == {"cut", "lost"} else "partial", cause)


def arrows_of(view: View, plan: Plan, findings: Sequence[Finding]) -> tuple[Arrow, ...]:
    """All arrows between the boxes of a plan, each once, in order of their heads."""
    return _Tracker(view, plan, findings).arrows()


class _Tracker:
    def __init__(self, view: View, plan: Plan, findings: Sequence[Finding]) -> None:
        self._view = view
        self._plan = plan
        shown = [found for found in view.breaks if not found.hidden]
        self._causes = {found.cut.op: cause_of(found, findings) for found in reversed(shown)}
        self._returned = {
            value: view.trace.exits[reentry.exit].value
            for value, reentry in view.data.suspected.items()
            if value in view.flow.between
        }
        self._ways: dict[int, Mapping[str, _Way]] = {}  # by value: the boxes it comes from
        self._links: dict[tuple[str, str], _Way] = {}

    def arrows(self) -> tuple[Arrow, ...]:
        view = self._view
        for value in view.flow.between.intersection(view.leaf.values):
            self._ways[value] = {"leaf": self._kept(value)}
        for op in view.flow.ops:
            self._pass(op)
        for root in view.flow.roots:
            self._link(self._to(root), "root")
        return tuple(
            Arrow(tail, head, way.state, way.cause.label, way.cause.finding)
            for (tail, head), way in self._links.items()
        )

    def _kept(self, value: int) -> _Way:
        return _Way("live" if value in self._view.flow.connected else "lost")

    def _pass(self, op: int) -> None:
        view = self._view
        connected = view.flow.connected
        results = [v for v in view.data.outputs(op) if v in view.flow.between]
        live = any(v in connected for v in results)
        cause = self._causes.get(op, _NO_CAUSE)
        ways: dict[str, _Way] = {}
        if cause.meant and not live:
            return
        for value in dict.fromkeys(view.data.inputs(op)):
            if live and value in view.data.captured.get(op, ()):
                continue  # read inside a Function whose arguments carry: most often their views
            carried = live and self._carries(op, value)
            for key, way in self._to(value).items():
                ways[key] = way.through(carried, cause).beside(ways.get(key))
        drawn = self._plan.key_of.get(op)
        if drawn is not None:
            self._link(ways, drawn)
        for value in results:
            if value in view.leaf.values or (cause.meant and value not in connected):
                continue
            if drawn is not None:
                self._ways[value] = {drawn: self._kept(value)}
            else:
                kept = value in connected
                near = list(ways.items())[-_NEAR:]
                self._ways[value] = {key: way.through(kept, cause) for key, way in near}

    def _to(self, value: int) -> Mapping[str, _Way]:
        """The boxes that a value comes from; host data comes from where its exit came from."""
        known = self._ways.get(value)
        if known is not None or value not in self._returned:
            return known or {}
        cause = self._causes.get(-1, _NO_CAUSE)
        left = self._ways.get(self._returned[value], {})
        return {key: way.through(False, cause) for key, way in left.items()}

    def _carries(self, op: int, value: int) -> bool:
        """Whether gradient of the op's results goes to this input."""
        call = self._view.data.functions.get(op)
        given = call is None or value not in call.none_for
        return given and value in self._view.flow.connected

    def _link(self, ways: Mapping[str, _Way], head: str) -> None:
        for tail, way in ways.items():
            if tail != head:
                self._links[tail, head] = way.beside(self._links.get((tail, head)))
