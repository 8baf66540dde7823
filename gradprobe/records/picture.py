"""What a picture of a run shows: a bounded graph of boxes and arrows, before any layout.

Built once by the diagnosis, so that a saved report can be drawn again without the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from gradprobe.records.source import Frame

BoxKind = Literal["leaf", "stage", "op", "fold", "source", "root"]
Depth = Literal["auto", "module", "op"]
DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)
State = Literal["live", "partial", "zero", "nonfinite", "cut", "lost", "unknown"]


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `label` is a short title, `detail` the source text or a count ("12 ops").

    kind: `leaf`; `stage` (a named point of the sampler); `op` (one call near a cut); `fold` (a
    stretch that needs no detail, such as "steps 4-31, healthy"); `source` (a tensor that feeds the
    root but does not come from the leaf, such as the look-alike of an unused leaf); `root`.

    state: `live` (gradient passes), `partial` (some of it), `zero` and `nonfinite` (it passes, and
    is exactly zero, or NaN or Inf somewhere), `cut` (the op that loses it), `lost` (the leaf's
    values pass, its gradient does not), `unknown`.

    `finding` is the index of the finding that was made at this op: it loses gradient, or makes it
    zero or not finite, though what comes to it is sound. `norm` is that of the gradient that comes
    to the box, at its end where it is a stretch; None where that is not known. A stretch of steps
    goes from `step` to `last_step`.
    """

    key: str
    kind: BoxKind
    label: str
    detail: str
    state: State
    at: Frame | None = None
    step: int | None = None
    finding: int | None = None
    norm: float | None = None
    last_step: int | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """Values go from `tail` to `head`; a `cut` arrow carries no gradient back.

    `label` stands on the arrow (`GP101 run.py:21`); `finding` is the index of the finding that
    explains it, where there is one.
    """

    tail: str
    head: str
    state: State
    label: str = ""
    finding: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in order from leaf to root, and the arrows between them; at most about 300 boxes.

    `depth` is how closely it was drawn: `auto`, named points, and the ops around each finding;
    `module`, also what each function of the network does around the first finding; `op`, also each
    op there.
    """

    boxes: tuple[Box, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    depth: Depth = "auto"
