"""The lines of an outline: each block and each body there once, as far as they go."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradprobe.records.outline import Block, Line, Part
from gradprobe.records.picture import State
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace

_MOST_LINES = 300  # of all blocks together: what steps share is there once
_MOST_BODIES = 40
_LONGEST = 200  # characters of a line of source
_BEFORE_IT = 40  # of them before the expression


@dataclass(slots=True)
class Tally:
    """Ops of one part, by function and place: how many, the first one's name, their states."""

    ops: int = 0
    states: set[State] = field(default_factory=set)
    saved: int | None = None
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    seen: dict[int, tuple[int, set[State]]] = field(default_factory=dict)


class Blocks:
    """Numbers what is shared; `left_out` counts the lines and bodies that went too far."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
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

    def part(self, key: int, tally: Tally) -> Part:
        step = key if key >= 0 else None
        return Part(step, tally.ops, _common(tally.states), tally.saved, self._body(tally))

    def _body(self, tally: Tally) -> int:
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

    def _block(self, function: int, lines: dict[int, int], tally: Tally) -> Block:
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

    def _line(self, place: int, count: int, tally: Tally) -> Line:
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
