"""What a rule sees: one leaf, one root, and the breaks between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.doubts import Doubt
from gradprobe.graph.flow import Cut, Flow
from gradprobe.graph.recomputed import inner_cuts
from gradprobe.graph.steps import Steps
from gradprobe.graph.updates import Life
from gradprobe.records.backward import Pass
from gradprobe.records.op import GRAD_OFF, INFERENCE, Kind
from gradprobe.records.report import GradStats
from gradprobe.records.sampling import LeafMark
from gradprobe.records.source import Frame
from gradprobe.records.tensor import HOST, LEAF, MET, PARAMETER, TensorMeta
from gradprobe.records.trace import Exit, Reentry, Region, Trace


@dataclass(frozen=True, slots=True)
class Break:
    """One cut with what is known of its op. `hidden`: an earlier cut on the way took all anyway."""

    cut: Cut
    at: Frame
    callee: str
    kind: Kind | None  # None: the op was not seen
    grad_off: bool
    inference: bool
    region: Region | None
    source: TensorMeta
    result: TensorMeta
    hidden: bool


@dataclass(frozen=True, slots=True)
class View:
    """One leaf on its way to one root.

    `total` says that no gradient reaches the leaf at all. `breaks` come in order of time.
    """

    data: Dataflow
    flow: Flow
    steps: Steps
    passed: Pass | None
    root_name: str
    root_at: Frame | None
    total: bool
    breaks: tuple[Break, ...]
    refused: str | None = None  # torch's words, where an op in the forward would not go on
    others: tuple[LeafMark, ...] = field(default=())
    lives: tuple[Life, ...] = ()  # of the leaf's tensors, with all passes of the run
    doubts: tuple[Doubt, ...] = ()  # where values that feed the root were made unseen

    @property
    def grad(self) -> GradStats | None:
        """Statistics of the gradient that reached the leaf in this pass."""
        if self.passed is None:
            return None
        reached = self.passed.reached
        return next((reached[v] for v in reversed(self.leaf.values) if v in reached), None)

    @property
    def zero(self) -> bool:
        return self.grad is not None and not self.grad.nonfinite and self.grad.abs_max == 0

    @property
    def nonfinite(self) -> bool:
        return self.grad is not None and self.grad.nonfinite > 0

    @property
    def raised(self) -> bool:
        """Whether the backward pass ended in an exception, and nothing reached the leaf."""
        return self.passed is not None and bool(self.passed.raised) and self.grad is None

    @property
    def sealed(self) -> bool:
        """Whether all that feeds the root is known by origin, but for parameters and leaves."""
        values, feeding = self.trace.values, self.flow.feeding
        if self.trace.exits and any(values.has(v, HOST) and self._unknown(v) for v in feeding):
            return False  # what left torch may be in there
        met = (v for v in feeding if values.has(v, MET))
        return all(values.has(v, PARAMETER | LEAF) for v in met)

    def _unknown(self, value: int) -> bool:
        """Whether nothing is known to be in a value that was made from data outside torch."""
        op = self.data.producer[value]
        return op >= 0 and not len(self.data.inputs(op))

    @property
    def trace(self) -> Trace:
        return self.data.trace

    @property
    def leaf(self) -> LeafMark:
        return self.flow.leaf

    def exits_of(self, value: int) -> list[Exit]:
        """How a value left torch."""
        return [exit for exit in self.trace.exits if exit.value == value]

    def reentry_of(self, value: int, source: int | None = None) -> Reentry | None:
        """The return of host data as `value`, proven or suspected.

        Of several exits that it came from, that by which `source` left.
        """
        every = [r for r in self.trace.reentries if r.value == value]
        of_source = (r for r in every if self.trace.exits[r.exit].value == source)
        found = next(of_source, every[0] if every else None)
        return found or self.data.suspected.get(value)

    def users(self, value: int) -> Iterator[int]:
        """The ops on the way to the root that take `value`, in order."""
        return iter(self.flow.users.get(value, ()))

    def place_of(self, op: int) -> Frame | None:
        return self.trace.frame_of(op) if op >= 0 else None

    def stage_at(self, op: int) -> str | None:
        """The named point that was passed last before an op."""
        if op < 0:
            return None
        if self.steps.call_at(op) is not None:
            return "denoiser"
        passed = [s for s in self.trace.stages if s.at_op <= op and s.value in self.flow.between]
        calls = [c for c in self.steps.calls if c.to_op <= op]
        last_call = calls[-1].to_op if calls else -1
        if passed and passed[-1].at_op >= last_call:
            return passed[-1].name
        return "denoised_output" if calls else self.leaf.name

    def occurrences(self, found: Break) -> int:
        """How many times the same place lost the gradient between leaf and root."""
        if found.cut.op < 0:
            return 1
        site = self.trace.ops.site[found.cut.op]
        sites = self.trace.ops.site
        count = 0
        for op in self.flow.ops:
            if sites[op] == site and self._loses(op):
                count += 1
        inside = sum(b.cut.op >= 0 and sites[b.cut.op] == site for b in self.breaks)
        return max(count, inside)

    def _loses(self, op: int) -> bool:
        return any(
            v in self.flow.between and v not in self.flow.connected for v in self.data.outputs(op)
        )


def breaks_of(data: Dataflow, flow: Flow, fallback: Frame | None) -> tuple[Break, ...]:
    """The cuts of a flow, and behind them the ops that would have cut all the same."""
    cuts = [(cut, False) for cut in flow.cuts]
    known = {cut.op for cut in flow.cuts}
    cuts += [(cut, True) for cut in _hidden(data, flow) if cut.op not in known]
    found = [b for cut, hidden in cuts if (b := _break(data, cut, hidden, fallback))]
    for cut, off in inner_cuts(data, flow):
        inner = _break(data, cut, False, fallback)
        if inner is not None:  # a checkpoint itself switches recording off, which loses nothing
            found.append(inner if off else replace(inner, grad_off=False, region=None))
    return tuple(sorted(found, key=lambda b: b.cut.op))


def _break(data: Dataflow, cut: Cut, hidden: bool, fallback: Frame | None) -> Break | None:
    trace = data.trace
    source, result = trace.values.describe(cut.source), trace.values.describe(cut.result)
    if cut.op < 0:
        returned = data.suspected[cut.result]
        at = trace.frame_of(trace.exits[returned.exit].op) or fallback
        if at is None:
            return None
        return Break(cut, at, "", None, False, False, None, source, result, hidden)
    op = trace.ops.op(cut.op)
    at = trace.frames[op.site] or fallback
    if at is None:
        return None
    off = bool(op.flags & GRAD_OFF)
    return Break(
        cut=cut,
        at=at,
        callee=op.callee.name,
        kind=op.callee.kind,
        grad_off=off,
        inference=bool(op.flags & INFERENCE),
        region=trace.regions[op.region] if off else None,
        source=source,
        result=result,
        hidden=hidden,
    )


def _hidden(data: Dataflow, flow: Flow) -> Iterator[Cut]:
    """Ops past a cut that stop gradient in their own right: they show once the first is healed."""
    ops = data.trace.ops
    entered: set[int] = set()
    for op in flow.ops:
        lost = [v for v in data.inputs(op) if v in flow.between and v not in flow.connected]
        results = [v for v in data.outputs(op) if v in flow.between and v not in flow.connected]
        if not lost or not results:
            continue
        source, result = lost[0], results[0]
        values = data.trace.values
        stops = ops.callee_of(op).kind in (Kind.DETACH, Kind.COPY)
        stops |= values.describe(source).differentiable > values.describe(result).differentiable
        if ops.flags_of(op) & GRAD_OFF:
            region = ops.region_of(op)
            stops |= region not in entered
            entered.add(region)
        if stops:
            yield Cut(op, source, result)
