"""What happened when the program asked for gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradprobe.records.report import GradStats
from gradprobe.records.sampling import Where
from gradprobe.records.source import Frame


@dataclass(frozen=True, slots=True)
class Measured:
    """A stage's node in one pass: its name, and the gradient that came by, None if none did."""

    grad_fn: str
    grad: GradStats | None
    device: str | None


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of the autograd engine by the program.

    `roots` are values; `inputs` the values asked for (`torch.autograd.grad`, `inputs=`), empty for
    all leaves. `at_op` is how many ops had been seen. `reached` maps a leaf's value at that moment
    to its gradient's statistics, or to None where no gradient arrived. `measured` holds values
    whose nodes were found in the graph when the pass began. `raised` is torch's message.
    `retained` says that the graph was to be kept. `index` counts the passes of the run, also those
    whose records were forgotten.
    """

    how: Literal["backward", "grad"]
    at_op: int
    roots: tuple[int, ...]
    inputs: tuple[int, ...]
    at: Frame | None
    where: Where
    root_name: str
    grad_fn: str | None  # of the first root
    reached: Mapping[int, GradStats | None]
    raised: str | None
    nodes: int | None
    edges: int | None
    # (nodes are counted only up to a bound; None says the graph was larger)
    measured: Mapping[int, Measured] = field(default_factory=dict)
    retained: bool = False
    index: int = 0


@dataclass(frozen=True, slots=True)
class PastPass:
    """A pass whose records were forgotten, as it was one like others; `reached` as of a `Pass`."""

    index: int
    how: Literal["backward", "grad"]
    at: Frame | None
    reached: Mapping[int, GradStats | None]
    raised: str | None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One application of a custom autograd.Function.

    `op` is its row among the ops, `inner_from` the row of the first op seen inside its forward.
    `explicit` are the values passed as arguments; `none_for` those for which its backward gave
    None although autograd asked for a gradient. `made_at` is where its class was defined.
    """

    op: int
    inner_from: int
    name: str
    explicit: tuple[int, ...]
    none_for: tuple[int, ...]
    defined_at: Frame | None
    reentrant_checkpoint: bool


@dataclass(frozen=True, slots=True)
class GradRead:
    """The program read `.grad` of a tensor that is no leaf and does not retain its gradient.

    `name` is what the program called the tensor there.
    """

    value: int
    at: Frame | None
    name: str | None


@dataclass(frozen=True, slots=True)
class RaisedOp:
    """An op that raised instead of returning: which, where, and with what message.

    `inference` are those of its inputs that were made in inference mode, as torch says.
    """

    callee: str
    at_op: int
    site: int
    inputs: tuple[int, ...]
    message: str
    where: Where
    inference: tuple[int, ...] = ()
