"""What ran in each step, told by line of source: for a reader who goes from a step to its ops.

A run of a hundred thousand ops runs the same few lines again and again. So a line stands here once,
with how often it ran; what a function did is a block of lines; steps that did the same share their
blocks. Bounded, whatever the size of the run; what was left out is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.records.picture import State


@dataclass(frozen=True, slots=True)
class Line:
    """Ops that one expression ran within a step, on the way from leaf to root.

    `op` is the first one's name, `count` how many there were. `source` is the first line of the
    expression, of a long line a part; it stands there from `col` to `end_col`, which count from 0.
    """

    op: str
    count: int
    state: State
    line: int
    col: int
    end_col: int
    source: str


@dataclass(frozen=True, slots=True)
class Block:
    """What one function did in a step; `file` is an index of the outline's files, -1 if none."""

    function: str
    file: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One step, or what ran before the first or after the last one: those have no number.

    `body` is an index of the outline's bodies, -1 where its lines were left out. `saved_bytes` is
    what its ops are known to keep for their backward, of what was not kept before; parameters are
    not counted. None where nothing is known.
    """

    step: int | None
    ops: int
    state: State
    saved_bytes: int | None
    body: int


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts in order of time; a body is the indices of its blocks, in the order they began.

    `left_out` counts parts that are not there, and lines of the others.
    """

    files: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    bodies: tuple[tuple[int, ...], ...] = ()
    parts: tuple[Part, ...] = ()
    left_out: int = 0


NO_OUTLINE = Outline()  # of a report that an earlier version saved
