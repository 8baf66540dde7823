"""What happened when the program asked for gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradprobe.records.norms import StageKey
from gradprobe.records.numerics import NodeNumbers
from gradprobe.records.report import GradStats
from gradprobe.records.sampling import Where
from gradprobe.records.source import Frame


@dataclass(frozen=True, slots=True)
class Measured:
    """A stage's node in one pass: its name, and the gradient that came by, None if none did.

    `key` is what the stage was called when the pass began, None for a state without a name.
    """

    grad_fn: str
    grad: GradStats | None
    device: str | None
    key: StageKey | None = None


@dataclass(frozen=True, slots=True)
class HookChange:
    """A hook that changed a gradient in one pass: it returned another one, or wrote to it.

    `on` says what it was registered on; `accumulated` is a hook that runs when `.grad` of a leaf
    has been written. The gradient is that of `value`, or where that is not known of what `op` made;
    both are -1 where neither is known. `at_op` is how many ops had been seen when the hook was
    registered, on the stack `where`; -1 if that is not known. `after` is None where no gradient was
    left. `taken` says that something had used the gradient before it was dropped.
    """

    on: Literal["tensor", "node", "module", "accumulated"]
    name: str  # qualified; empty where it is no function
    at: Frame | None  # where it was defined
    registered: Frame | None
    value: int
    op: int
    at_op: int
    where: Where | None
    before: GradStats
    after: GradStats | None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of the autograd engine by the program.

    `roots` are values; `inputs` the values asked for (`torch.autograd.grad`, `inputs=`), empty for
    all leaves. `at_op` is how many ops had been seen. `reached` maps a leaf's value at that moment
    to its gradient's statistics, or to None where no gradient arrived. `measured` holds values
    whose nodes were found in the graph when the pass began. `raised` is torch's message.
    `foreign` says that it was raised by code of the program's that ran in the pass, or is no error
    of the engine's kind. `retained` says that the graph was to be kept. `hooks` are the program's
    own that changed a gradient, in the order in which they ran. `root_value` is
    the number that a root of one element held. `index` counts the
    passes of the run, also those whose records were forgotten.
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
    numbers: NodeNumbers | None = None  # of every node, where they were asked for
    hooks: tuple[HookChange, ...] = ()
    foreign: bool = False
    # Exits whose memory was changed since, before this pass, by no op that was seen.
    altered: tuple[int, ...] = ()
    root_value: float | None = None
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

    `inference` are those of its inputs that were made in inference mode, as torch says; `passes` is
    how many backward passes had begun.
    """

    callee: str
    at_op: int
    site: int
    inputs: tuple[int, ...]
    message: str
    where: Where
    inference: tuple[int, ...] = ()
    passes: int = 0
