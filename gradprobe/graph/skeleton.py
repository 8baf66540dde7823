"""The sampler without its denoiser: its own ops, each call of the denoiser as one event.

On it the noise that joins the state between calls is told from the state, and what remains is the
trunk: the way of the state from the leaf through the calls to the root.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import prod

from gradprobe.graph.dataflow import Dataflow
from gradprobe.graph.flow import Flow
from gradprobe.records.op import Kind
from gradprobe.records.sampling import ModuleCall
from gradprobe.records.tensor import RANDOM

_ADDS = frozenset(["add", "radd", "iadd", "sub", "rsub", "isub", "addcmul", "lerp", "where"])
_SCALES = frozenset(["mul", "rmul", "imul", "div", "truediv", "rtruediv", "itruediv", "neg"])


@dataclass(frozen=True, slots=True)
class Event:
    """One op of the sampler's own, or one call of the denoiser (`call` is its position)."""

    op: int
    call: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """Noise joins the state: at which event, as which input, and what it was before its scale."""

    event: int
    noise: int
    joined: int
    state: int


@dataclass(slots=True)
class Skeleton:
    """Events in order of time. `depth[v]` counts the calls on the longest way from the leaf to v.

    `entering` are the values that the first call is made from; `drawn` come from a random
    generator and not from the leaf.
    """

    data: Dataflow
    flow: Flow
    calls: tuple[ModuleCall, ...]
    events: list[Event] = field(default_factory=list)
    made_by: dict[int, int] = field(default_factory=dict)  # value -> its event
    users: dict[int, list[int]] = field(default_factory=dict)  # value -> events
    depth: dict[int, int] = field(default_factory=dict)
    drawn: set[int] = field(default_factory=set)
    entering: set[int] = field(default_factory=set)
    merges: list[Merge] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)

    def size(self, value: int) -> int:
        return prod(self.data.trace.values.describe(value).shape)

    def state_size(self, value: int) -> bool:
        """Whether a value has as many elements as the denoiser's results, or half of them."""
        return self.size(value) in self.sizes

    def callee(self, event: Event) -> str:
        """The bare name of an op's function, without underscores."""
        return self.data.trace.ops.callee_of(event.op).name.rpartition(".")[2].strip("_")

    def moving(self, value: int) -> bool:
        """Whether a value comes from the leaf or from a random generator."""
        return value in self.flow.between or value in self.drawn

    def noise_at(self, event: int) -> Collection[int]:
        """The inputs of an event that bring noise."""
        return [merge.joined for merge in self.merges if merge.event == event]


def skeleton(data: Dataflow, flow: Flow, calls: tuple[ModuleCall, ...]) -> Skeleton:
    """Build it for the denoiser's calls, which do not overlap. Linear in the ops."""
    bones = Skeleton(data, flow, calls)
    _collect(bones)
    _measure(bones)
    first = next((e for e in bones.events if e.call is not None), None)
    if first is not None:
        whole = {bones.size(v) for v in first.outputs}
        bones.sizes = whole | {size // 2 for size in whole}
        bones.entering = _before(bones, first.inputs, set())
        _find_noise(bones, first)
    return bones


def _collect(bones: Skeleton) -> None:
    data, feeding, calls = bones.data, bones.flow.feeding, bones.calls
    starts = [call.from_op for call in calls]
    inside: dict[int, list[int]] = {}
    own: list[int] = []
    for op in sorted({data.producer[v] for v in feeding if data.producer[v] >= 0}):
        position = bisect_right(starts, op) - 1
        if position >= 0 and op < calls[position].to_op:
            inside.setdefault(position, []).append(op)
        else:
            own.append(op)
    made_in = {v: p for p, ops in inside.items() for op in ops for v in data.outputs(op)}
    outputs = {p: [v for v in calls[p].outputs if v in feeding] for p in range(len(calls))}
    for op in own:
        for value in data.inputs(op):
            position = made_in.get(value, -1)
            if position >= 0 and value not in outputs[position]:
                outputs[position].append(value)
    for root in bones.flow.roots:
        if root in made_in and root not in outputs[made_in[root]]:
            outputs[made_in[root]].append(root)
    found = [
        Event(op, None, tuple(dict.fromkeys(data.inputs(op))), tuple(data.outputs(op)))
        for op in own
    ]
    for position, call in enumerate(calls):
        taken = [v for op in inside.get(position, ()) for v in data.inputs(op)]
        given = [v for v in (*call.inputs, *taken) if made_in.get(v) != position and v in feeding]
        end = max(call.to_op - 1, call.from_op)
        found.append(Event(end, position, tuple(dict.fromkeys(given)), tuple(outputs[position])))
    found.sort(key=lambda event: (event.op, event.call is None))
    bones.events = found
    for number, event in enumerate(found):
        for value in event.outputs:
            bones.made_by[value] = number
        for value in event.inputs:
            bones.users.setdefault(value, []).append(number)


def _measure(bones: Skeleton) -> None:
    between, flags = bones.flow.between, bones.data.trace.values.flags
    sources = set(bones.flow.leaf.values)
    depth, drawn = bones.depth, bones.drawn
    for event in bones.events:
        deepest = max((depth.get(v, 0) for v in event.inputs if v in between), default=0)
        random = any(v in drawn or (flags[v] & RANDOM and v not in between) for v in event.inputs)
        for value in event.outputs:
            if value in sources:
                continue
            if value in between:
                depth[value] = deepest + (event.call is not None)
            elif event.call is None and (random or flags[value] & RANDOM):
                drawn.add(value)
    drawn.update(v for v in bones.users if flags[v] & RANDOM and v not in between)


def _before(bones: Skeleton, values: Sequence[int], without: Collection[int]) -> set[int]:
    """Every value that these are made from, themselves included; no way leads over `without`."""
    found: set[int] = set()
    waiting = [v for v in values if bones.moving(v)]
    while waiting:
        value = waiting.pop()
        if value in found or value in without:
            continue
        found.add(value)
        event = bones.made_by.get(value)
        if event is not None:
            waiting += [v for v in bones.events[event].inputs if bones.moving(v)]
    return found


def _find_noise(bones: Skeleton, first: Event) -> None:
    """What joins the state by an addition and was neither state nor denoised before.

    Either it was drawn, or it comes from the leaf through no call and not from the first state. Of
    noise from the leaf that joins before the first call, only the place says so: it joins where
    later noise does. Where the leaf itself is the first state, only what recurs is noise.
    """
    joins: list[tuple[int, int, int]] = []  # (place, which input, event) of noise from the leaf
    early: list[int] = []
    for number, event in enumerate(bones.events):
        if event.call is not None or bones.callee(event) not in _ADDS or not event.outputs:
            continue
        result = event.outputs[0]
        if result not in bones.flow.between or not bones.state_size(result):
            continue
        if event.op < first.op:
            early.append(number)
        for position, value in enumerate(event.inputs):
            if _is_drawn_noise(bones, event, value, first):
                _note(bones, number, value)
            elif event.op > first.op and _is_leaf_noise(bones, event, value):
                joins.append((bones.data.trace.ops.site[event.op], position, number))
    starts_at_leaf = any(v in bones.flow.leaf.values for v in first.inputs)
    places = Counter((site, position) for site, position, _ in joins)
    for site, position, number in joins:
        if not starts_at_leaf or places[site, position] > 1:
            _note(bones, number, bones.events[number].inputs[position])
    known = {(bones.data.trace.ops.site[bones.events[m.event].op]) for m in bones.merges}
    for number in early:
        event = bones.events[number]
        site = bones.data.trace.ops.site[event.op]
        for position, value in enumerate(event.inputs):
            others = [v for v in event.inputs if v != value and v in bones.flow.between]
            if (site, position) in places and site in known and others:
                _note(bones, number, value)
    bones.merges.sort(key=lambda merge: merge.event)
    bones.entering = _before(bones, first.inputs, {merge.joined for merge in bones.merges})


def _is_drawn_noise(bones: Skeleton, event: Event, value: int, first: Event) -> bool:
    if value not in bones.drawn or bones.size(value) != bones.size(event.outputs[0]):
        return False
    partners = [v for v in event.inputs if v != value and v in bones.flow.between]
    return bool(partners) and (value not in bones.entering or event.op < first.op)


def _is_leaf_noise(bones: Skeleton, event: Event, value: int) -> bool:
    """Whether a value from the leaf joins the state past the first state and all calls."""
    if value not in bones.flow.between or bones.depth.get(value):
        return False
    if bones.size(value) != bones.size(event.outputs[0]):
        return False
    if not any(bones.depth.get(v) for v in event.inputs if v != value):
        return False
    leaf = bones.flow.leaf.values
    if _unscaled(bones, value) in leaf or value in bones.entering:
        return False
    return not (_before(bones, [value], ()) & bones.entering).difference(leaf)


def _note(bones: Skeleton, number: int, joined: int) -> None:
    event = bones.events[number]
    partners = [v for v in event.inputs if v != joined and v in bones.flow.between]
    deepest = max(partners, key=lambda v: bones.depth.get(v, 0))
    bones.merges.append(Merge(number, _unscaled(bones, joined), joined, deepest))


def _unscaled(bones: Skeleton, value: int) -> int:
    """The noise before it was scaled: back over products with numbers, casts and views."""
    while True:
        event = bones.events[bones.made_by[value]] if value in bones.made_by else None
        if event is None or event.call is not None:
            return value
        kind = bones.data.trace.ops.callee_of(event.op).kind
        if kind not in (Kind.VIEW, Kind.CAST) and bones.callee(event) not in _SCALES:
            return value
        same = [v for v in event.inputs if bones.size(v) == bones.size(value)]
        if len(same) != 1 or any(bones.size(v) > 1 for v in event.inputs if v not in same):
            return value
        shapes = {bones.data.trace.values.describe(v).shape for v in (value, same[0])}
        if len(shapes) != 1 or not bones.moving(same[0]):
            return value
        value = same[0]
