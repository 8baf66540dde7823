"""The trace: everything that one run showed. Frozen, without tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gradprobe.records.backward import FunctionCall, GradRead, Pass, PastPass, RaisedOp
from gradprobe.records.numerics import ForwardNumbers
from gradprobe.records.op import OpTable
from gradprobe.records.optimizer import GradUse, Optimizer
from gradprobe.records.report import Environment
from gradprobe.records.sampling import LeafMark, ModuleCall, StageMark, Tick, Where
from gradprobe.records.source import Frame, Remark
from gradprobe.records.tensor import Overwritten, Rewrites, ValueTable


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch in which gradient recording was off.

    `opened_by` is the `with`, the call, or the decorator line; None when it was off before the
    probe began or was switched where no Python frame was seen. `by` names what did it
    (`torch.no_grad`); `decorated` is the decorated function's name, if it was a decorator.
    """

    mode: Literal["no_grad", "inference"]
    by: str
    opened_by: Frame | None
    decorated: str | None
    how: Literal["with", "decorator", "call", "before"]


@dataclass(frozen=True, slots=True)
class Exit:
    """Values left torch: which value, by which op, and through what (`item`, `numpy` ...)."""

    op: int
    value: int
    through: str


@dataclass(frozen=True, slots=True)
class Reentry:
    """Values came back as `value` at `op`; `proven` when they are known to be those that left.

    `same`: as the very object or number, and not as something that was computed of it.
    """

    exit: int
    op: int
    value: int
    proven: bool
    same: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen, from `start` to `stop`."""

    environment: Environment
    frames: tuple[Frame | None, ...]
    ops: OpTable
    values: ValueTable
    regions: tuple[Region, ...]
    leaves: tuple[LeafMark, ...]
    exits: tuple[Exit, ...]
    reentries: tuple[Reentry, ...]
    functions: tuple[FunctionCall, ...]
    passes: tuple[Pass, ...]
    stages: tuple[StageMark, ...]
    calls: tuple[ModuleCall, ...]
    reads: tuple[GradRead, ...]
    raised: tuple[RaisedOp, ...]
    # The stack at an op that may be a cut, where it was taken.
    stacks: Mapping[int, Where]
    # Of a place within loops: where each begins and ends in its code, innermost first.
    loops: Mapping[int, tuple[tuple[int, int], ...]]
    # What the program calls a tensor that it drew, or that was met: by value.
    names: Mapping[int, str]
    named_root: tuple[int, str, Frame | None] | None
    unseen: tuple[str, ...]
    record_bytes: int
    seconds: float
    autograd_dot: str | None = field(default=None)
    ticks: tuple[Tick, ...] = ()
    # By place: the place that its function was called from when the place was first reached (0 if
    # none), and which function it lies in (a number for its code).
    callers: Sequence[int] = ()
    functions_at: Sequence[int] = ()
    # By place, the offset of its instruction in its function.
    offsets: Mapping[int, int] = field(default_factory=dict)
    function_names: Sequence[str] = ()  # qualified names, by those numbers
    # Places in generators, and places that call what a variable holds: `model(x)` where `model` is
    # a parameter or was given another name.
    generators: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    # By place, the name by which it names what it calls; known where the user named the denoiser.
    called_at: Mapping[int, str] = field(default_factory=dict)
    rewrites: Rewrites = field(default_factory=Rewrites)
    optimizers: tuple[Optimizer, ...] = ()
    uses: tuple[GradUse, ...] = ()  # of leaves' gradients, in order of time
    overwritten: tuple[Overwritten, ...] = ()
    # Stretches of ops, first and end, in which the program's own hooks kept what ops save.
    hooked: tuple[tuple[int, int], ...] = ()
    # Of a long loop: passes whose records are forgotten, and how many ops were.
    past: tuple[PastPass, ...] = ()
    forgotten_ops: int = 0
    # Ops that took a number computed outside torch, after another had left.
    odd: tuple[int, ...] = ()
    # What the user asked of stages: by name the denoiser, and whether to look for them at all.
    denoiser: str | None = None
    looks: Literal["none", "declared", "auto"] = "auto"
    watched: bool = False  # of most iterations only what is outside of modules was recorded
    remarks: tuple[Remark, ...] = ()  # in the files of the places that were seen
    forward: ForwardNumbers | None = None  # ranges of values, where they were asked for
    # By value, the place of its first use: it came into being unseen, while a leaf was there.
    strangers: Mapping[int, int] = field(default_factory=dict)

    def frame_of(self, op: int) -> Frame | None:
        return self.frames[self.ops.site[op]]
