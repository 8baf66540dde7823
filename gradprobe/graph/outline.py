"""From a flow to its outline: what each step ran, by function and line, and what gradient did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradprobe.graph.kept_bytes import kept_bytes
from gradprobe.graph.outline_blocks import Blocks, Tally
from gradprobe.graph.plan import NONE, numbered_cuts
from gradprobe.graph.view import View
from gradprobe.graph.worth import Gradients
from gradprobe.records.outline import Outline
from gradprobe.records.picture import State
from gradprobe.records.report import Finding

_MOST_PARTS = 1200
_WORTHLESS: frozenset[State] = frozenset({"zero", "nonfinite"})
_BEFORE, _AFTER = -1, -2  # keys of what belongs to no step


def outline_of(
    view: View, findings: Sequence[Finding], turned: Mapping[int, int] = NONE
) -> Outline:
    """The outline of one leaf's way to its root, in time linear in the ops on the way.

    `findings` and `turned` are those of `picture_of`.
    """
    marked: dict[int, State] = dict.fromkeys(turned, "nonfinite" if view.nonfinite else "zero")
    marked.update(dict.fromkeys(numbered_cuts(view, findings), "cut"))
    tallies = _tallies(view, marked)
    drawn = Blocks(view.trace)
    kept = list(tallies.items())[:_MOST_PARTS]
    parts = tuple(drawn.part(key, tally) for key, tally in kept)
    left_out = len(tallies) - len(kept) + drawn.left_out
    return Outline(tuple(drawn.files), tuple(drawn.blocks), tuple(drawn.bodies), parts, left_out)


def _tallies(view: View, marked: Mapping[int, State]) -> dict[int, Tally]:
    """What ran in each step, and before and after them, in order of time."""
    states, trace = _states(view, marked), view.trace
    site, functions = trace.ops.site, trace.functions_at
    part_of = _parts(view)
    found: dict[int, Tally] = {}
    for op, part in zip(view.flow.ops, part_of, strict=True):
        tally = found.setdefault(part, Tally())
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
