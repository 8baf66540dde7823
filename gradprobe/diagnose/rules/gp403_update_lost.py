"""The optimizer updates a tensor, and the next run does not use what it has become.

Inside the loop the leaf is made again from the same starting point (`z0 = start.clone()
.requires_grad_()`, `Parameter(noise.clone())`), or overwritten with it, or what feeds the loss was
computed from the leaf once, before the loop (with `retain_graph=True`). Gradient flows, the step
changes its tensor, and the next turn begins where the last one did.

Make the leaf and the optimizer once, before the loop, and compute everything that comes of the leaf
inside it. The finding names the line that makes or overwrites the leaf, or that took its old
values. Where each turn starts from a fresh draw it is only a note, and `suspected`: the turns may
be meant to have nothing to do with one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.dataflow import origins
from gradprobe.graph.flow import feeding_of
from gradprobe.graph.updates import Life, Moment
from gradprobe.graph.view import View
from gradprobe.records.op import Kind
from gradprobe.records.source import Frame, Related

CODE = "GP403"
NAME = "update-lost"

BREAKS = """
import torch

start = torch.randn(4)
for _ in range(3):
    z0 = start.clone().requires_grad_()  # <- GP403
    optimizer = torch.optim.Adam([z0], lr=0.1)
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()
    optimizer.step()
"""

CLEAN = """
import torch

start = torch.randn(4)
z0 = start.clone().requires_grad_()
optimizer = torch.optim.Adam([z0], lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = (0.7 * z0 + 0.1).pow(2).mean()
    loss.backward()
    optimizer.step()
"""


def check(view: View) -> Iterator[Draft]:
    """A leaf that steps update, with a backward after them, and that no op in between took."""
    updates = [(s, life, v) for life in view.lives for s, v in _updates(view, life)]
    passes = [(m, life) for life in view.lives for m in life.of("backward")]
    if not updates or not passes:
        return
    updates.sort(key=lambda update: update[0].key)
    passes.sort(key=lambda passed: passed[0].key)
    step, life, value = updates[0]
    after = next(((m, other) for m, other in passes if m.key > step.until), None)
    if after is None or _used(view, [u for u in updates if u[0].until < passes[-1][0].key]):
        return
    place, message, sure = _how(view, life, value, *after)
    if place is None or step.use is None:
        return
    which = view.trace.optimizers[step.use.optimizer].name
    yield Draft(
        at=place,
        severity="error" if sure else "note",
        certainty="proven" if sure else "suspected",
        related=(Related("step", step.at),) if step.at is not None else (),
        message=f"what {which}.step() makes of {view.leaf.name} is not used by the next run: "
        + message,
        fix=f"make {view.leaf.name} and the optimizer once, before the loop, and compute what "
        f"comes of {view.leaf.name} inside it",
    )


def _updates(view: View, life: Life) -> Iterator[tuple[Moment, int]]:
    """Each step that wrote the tensor, with what it made of it."""
    at = view.trace.values.at
    values = iter(life.mark.values[1:])
    value = next(values, None)
    for step in life.of("step"):
        made = None
        while value is not None and at[value] < step.until[0]:
            made = value if step.has(at[value]) else None
            value = next(values, None)
        if made is not None:
            yield step, made


def _used(view: View, updates: list[tuple[Moment, Life, int]]) -> bool:
    """Whether an op of the program took an updated value before the last backward."""
    if not updates:
        return True
    ops, data = view.trace.ops, view.data
    own = {value for life in view.lives for value in life.mark.values}
    last = max(m.key[0] for life in view.lives for m in life.of("backward"))
    steps = [step for step, _, _ in updates]
    fresh = {value: number for number, (_, _, value) in enumerate(updates)}  # by step
    number = 0
    for op in range(steps[0].key[0], last):
        while number < len(steps) and steps[number].until[0] <= op:
            number += 1
        made_by = {fresh[value] for value in data.inputs(op) if value in fresh}
        if not made_by:
            continue
        kind = ops.callee_of(op).kind
        if kind is Kind.ALIAS and _replaces(view, op):
            continue
        # `z0.data` alone uses nothing: it is what is done with it.
        same = kind is Kind.ALIAS or ops.callee_of(op).name == "Tensor.data"
        if same or (kind is Kind.WRITE and own.issuperset(data.outputs(op))):
            fresh.update(dict.fromkeys(data.outputs(op), max(made_by)))
            continue
        inside = number < len(steps) and steps[number].has(op)
        # A closure in a step is the program's; what it sees of that very step is no next run.
        if not inside or (steps[number].closure and min(made_by) < number):
            return True
    return False


def _replaces(view: View, op: int) -> bool:
    """Whether a write to shared memory left nothing of the tensor's own: `z0.data.copy_(start)`."""
    values, (before, written) = view.trace.values, view.trace.ops.inputs_of(op)
    source = values.at[written]
    if source < 0 or view.trace.ops.callee_of(source).kind is not Kind.OVERWRITE:
        return False
    return prod(values.describe(before).shape) == prod(values.describe(written).shape)


def _how(
    view: View, life: Life, value: int, passed: Moment, other: Life
) -> tuple[Frame | None, str, bool]:
    """The guilty place, what it does, and whether that is sure."""
    name, trace = view.leaf.name, view.trace
    if other is not life:
        same = origins(view.data, life.mark.values[0]) & origins(view.data, other.mark.values[0])
        if same:
            return other.mark.at, f"{name} is made again from the same start", True
        return other.mark.at, f"{name} is drawn again", False
    values = life.mark.values
    later = values[values.index(value) + 1 :]
    made = trace.values.at[later[0]] if later else -1
    by_hand = {m.op for m in life.of("written")}
    if made in by_hand and made < passed.key[0]:
        return trace.frame_of(made), f"{name} is overwritten here", True
    roots = passed.passed.roots if passed.passed is not None else ()
    _, ops = feeding_of(view.data, frozenset(values), roots)
    old = set(values[: values.index(value)])
    took = [op for op in sorted(ops) if not old.isdisjoint(view.data.inputs(op))]
    at = trace.frame_of(took[0]) if took else None
    return at, f"it goes on with what was computed of {name} here, before the step", True
