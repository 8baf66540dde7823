"""From a flow to its outline: what each step ran, by function and line, and what gradient did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradprobe.graph.kept_bytes import kept_bytes
from gradprobe.graph.plan import NONE, numbered_cuts
from gradprobe.graph.view import View
from gradprobe.graph.worth import Gradients
from gradprobe.records.outline import Block, Line, Outline, Part
from gradprobe.records.picture import State
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame

_MOST_LINES = 300  # of all blocks together: what steps share is there once
_MOST_BODIES = 40
_MOST_PARTS = 1200
_LONGEST = 200  # characters of a line of source
_BEFORE_IT = 40  # of them before the expression
_WORTHLESS: frozenset[State] = frozenset({"zero", "nonfinite"})
_BEFORE, _AFTER = -1, -2  # keys of what belongs to no step


@dataclass(slots=True)
class _Tally:
    """Ops of one part, by function and place: how many, the first one's name, their states."""

    ops: int = 0
    states: set[State] = field(default_factory=set)
    saved: int | None = None
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    seen: dict[int, tuple[int, set[State]]] = field(default_factory=dict)


def outline_of(
    view: View, findings: Sequence[Finding], turned: Mapping[int, int] = NONE
) -> Outline:
    """The outline of one leaf's way to its root, in time linear in the ops on the way.

    `findings` and `turned` are those of `picture_of`.
    """
    marked: dict[int, State] = dict.fromkeys(turned, "nonfinite" if view.nonfinite else "zero")
    marked.update(dict.fromkeys(numbered_cuts(view, findings), "cut"))
    tallies = _tallies(view, marked)
    drawn = _Drawn(view)
    kept = list(tallies.items())[:_MOST_PARTS]
    parts = tuple(drawn.part(key, tally) for key, tally in kept)
    left_out = len(tallies) - len(kept) + drawn.left_out
    return Outline(tuple(drawn.files), tuple(drawn.blocks), tuple(drawn.bodies), parts, left_out)


def _tallies(view: View, marked: Mapping[int, State]) -> dict[int, _Tally]:
    """What ran in each step, and before and after them, in order of time."""
    states, trace = _states(view, marked), view.trace
    site, functions = trace.ops.site, trace.functions_at
    part_of = _parts(view)
    found: dict[int, _Tally] = {}
    for op, part in zip(view.flow.ops, part_of, strict=True):
        tally = found.setdefault(part, _Tally())
        state = states[op]
        place = site[op]
        function = functions[place] if place < len(functions) else -1
        tally.ops += 1
        tally.states.add(state)
        lines = tally.counts.setdefault(function, {})
        lines[place] = lines.get(place, 0) + 1
        tally.seen.setdefault(place, (op, set()))[1].add(state)
    of_op = dict(zip(view.flow.ops, part_of, strict=True))
    for op, size in kept_bytes(view.data, view.flow.ops):
        tally = found[of_op[op]]
        tally.saved = (tally.saved or 0) + size
    return found


def _states(view: View, marked: Mapping[int, State]) -> dict[int, State]:
    """The state of each op on the way.

    Where no gradient was measured, it is told by all that the op hands its values to.
    """
    gradients, flow = Gradients(view), view.flow
    sick = view.zero or view.nonfinite
    found: dict[int, State] = {}
    for op in reversed(flow.ops):
        outputs = view.data.outputs(op)
        state = marked.get(op) or gradients.state(outputs)
        if sick and state == "live" and gradients.norm(outputs) is None:
            ahead = {found[user] for v in outputs for user in flow.users.get(v, ()) if user > op}
            if len(ahead) == 1 and ahead <= _WORTHLESS:
                state = ahead.pop()
        found[op] = state
    return found


def _parts(view: View) -> list[int]:
    """For each op on the way its step, or that it ran before the first or after the last."""
    steps, part = view.steps, _BEFORE
    found: list[int] = []
    for op in view.flow.ops:
        outputs = view.data.outputs(op)
        step = steps.of(op)
        if step is None and len(outputs):
            step = steps.around(op, outputs[0])
        if step is not None:
            part = step
        elif part >= 0:
            part = _AFTER
        found.append(part)
    return found


class _Drawn:
    """Blocks and bodies as far as they go, each there once."""

    def __init__(self, view: View) -> None:
        self._trace = view.trace
        self._known: dict[Block, int] = {}
        self._bodies: dict[tuple[int, ...], int] = {}
        self._files: dict[str, int] = {}
        self._lines = 0
        self.left_out = 0

    @property
    def files(self) -> list[str]:
        return list(self._files)

    @property
    def blocks(self) -> list[Block]:
        return list(self._known)

    @property
    def bodies(self) -> list[tuple[int, ...]]:
        return list(self._bodies)

    def part(self, key: int, tally: _Tally) -> Part:
        step = key if key >= 0 else None
        return Part(step, tally.ops, _common(tally.states), tally.saved, self._body(tally))

    def _body(self, tally: _Tally) -> int:
        numbers: list[int] = []
        for function, lines in tally.counts.items():
            block = self._block(function, lines, tally)
            known = self._known.get(block)
            if known is None:
                if self._lines + len(block.lines) > _MOST_LINES:
                    self.left_out += len(block.lines)
                    continue
                self._lines += len(block.lines)
                known = self._known[block] = len(self._known)
            numbers.append(known)
        body = tuple(numbers)
        if body not in self._bodies and len(self._bodies) >= _MOST_BODIES:
            self.left_out += 1
            return -1
        return self._bodies.setdefault(body, len(self._bodies))

    def _block(self, function: int, lines: dict[int, int], tally: _Tally) -> Block:
        trace = self._trace
        first = trace.frames[next(iter(lines))]
        names = trace.function_names
        name = names[function] if 0 <= function < len(names) else ""
        if not name and first is not None:
            name = first.function
        file = -1
        if first is not None:
            file = self._files.setdefault(first.file, len(self._files))
        shown = tuple(self._line(place, count, tally) for place, count in lines.items())
        return Block(name, file, shown)

    def _line(self, place: int, count: int, tally: _Tally) -> Line:
        op, states = tally.seen[place]
        name = self._trace.ops.callee_of(op).name.removeprefix("torch.").removeprefix("Tensor.")
        frame = self._trace.frames[place]
        state = _common(states)
        if frame is None:
            return Line(name, count, state, 0, 0, 0, "")
        return Line(name, count, state, frame.line, *_span(frame))


def _span(frame: Frame) -> tuple[int, int, str]:
    """Columns and text of a frame's first line, of a long one what is around its expression."""
    start = max(frame.col - _BEFORE_IT, 0) if len(frame.source) > _LONGEST else 0
    source = frame.source[start : start + _LONGEST]
    end = frame.end_col - start if frame.end_line == frame.line else len(source)
    return frame.col - start, min(end, len(source)), source


def _common(states: set[State]) -> State:
    """One word for several: what is lost there counts before all else."""
    return "cut" if "cut" in states else next(iter(states)) if len(states) == 1 else "partial"
