"""Breaks by design: a value that is taken off again, or divided by itself, without its gradient.

A straight-through estimator such as `x + (hard - x).detach()` is `hard` by value, and passes its
gradient to x. `x - x.detach()` and `x / x.detach()` are constants by value that carry a gradient.
In each the detach is what makes the gradient: without it there would be another or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gradprobe.graph.saves import bare
from gradprobe.graph.view import Break, View
from gradprobe.records.op import Kind

How = Literal["estimator", "difference", "ratio"]

# An estimator is written in one place: what is longer than this is none.
_FAR = 200  # values from the break to where they meet
_DEEP = 6  # sums within sums
_UP = 4  # sums around sums

_PLUS = frozenset(["add"])
_MINUS = frozenset(["sub", "subtract"])
_TURNED = frozenset(["rsub"])
_LINEAR = _PLUS | _MINUS | _TURNED
_NEGATED = frozenset(["neg", "negative"])
_OVER = frozenset(["div", "divide", "true_divide"])
_SAME = frozenset(["clone", "alias", "contiguous"])
_SAME_KINDS = frozenset([Kind.CAST, Kind.DETACH, Kind.REENTRY])


@dataclass(frozen=True, slots=True)
class Estimator:
    """The op at which a value `through` and the same value without gradient cancel.

    `how`: beside some other value, with nothing beside, or as a ratio. `off`: the break took the
    gradient off `through` itself, and not off what stands beside it.
    """

    op: int
    through: int
    how: How
    off: bool


@dataclass(slots=True)
class _Terms:
    """The signed terms of a sum: how often each value is in it with gradient, and without."""

    live: Counter[int] = field(default_factory=Counter)
    dead: Counter[int] = field(default_factory=Counter)
    last: list[int] = field(default_factory=list)  # those that are no sums themselves

    def cancelled(self) -> list[int]:
        """The values that are in the sum for their gradient alone."""
        return [v for v, times in self.live.items() if times and times == -self.dead[v]]

    def beside(self, through: int) -> bool:
        """Whether another value is in the sum for its own sake."""
        return any(v != through and self.live[v] + self.dead[v] for v in self.last)


def estimator_of(view: View, found: Break) -> Estimator | None:
    """The estimator that a break belongs to: all its ways to the root end in one. None if not."""
    if view.total or found.cut.result in view.flow.connected:
        return None
    return next(iter(_meetings(view, found.cut.result, found.cut.result, _UP)), None)


def _meetings(view: View, lost: int, start: int, up: int) -> list[Estimator]:
    """Where what a `lost` value feeds meets gradient; empty if one of these is no estimator."""
    met: list[Estimator] = []
    waiting, seen = [lost], {lost}
    while waiting:
        value = waiting.pop()
        if value in view.flow.roots or len(seen) > _FAR:
            return []
        for op in view.users(value):
            for result in view.data.outputs(op):
                if result not in view.flow.between or result in seen:
                    continue
                if result in view.flow.connected:
                    one = _estimator(view, op, value, result, start, up)
                    if one is None:
                        return []
                    met.append(one)
                else:
                    seen.add(result)
                    waiting.append(result)
        for result in _back(view, value):
            if result in view.flow.between and result not in seen:
                seen.add(result)
                waiting.append(result)
    return met


def _back(view: View, value: int) -> Iterator[int]:
    """What came back from outside torch, and probably is this value."""
    for result, returned in view.data.suspected.items():
        if view.trace.exits[returned.exit].value == value:
            yield result


def _estimator(
    view: View, op: int, entering: int, result: int, start: int, up: int
) -> Estimator | None:
    name, inputs = _name(view, op), view.trace.ops.inputs_of(op)
    if name in _OVER and len(inputs) == 2 and inputs[1] == entering:
        above = _same(view, inputs[0], through_detach=False)
        if above == _same(view, entering) and inputs[0] in view.flow.connected:
            return Estimator(op, above, "ratio", off=True)
        return None
    if name not in _LINEAR:
        return None
    return _sum(view, result, entering, start, up)


def _sum(view: View, value: int, of: int, start: int, up: int) -> Estimator | None:
    """The estimator that a sum `of` some value is, or that all sums around it are.

    What is added to an estimator that is whole without it is no part of that.
    """
    terms = _terms(view, value)
    others = [_terms(view, part) for part, _ in _parts(view, value) if part != of]
    cancelled = terms.cancelled()
    for through in cancelled:
        if any(through in other.cancelled() and other.beside(through) for other in others):
            continue
        if _is_a_state(view, start, value, through):
            return None
        beside = terms.beside(through)
        beside = beside or any(_name(view, op) in _LINEAR for op in view.users(value))
        how: How = "estimator" if beside else "difference"
        off = bool(_terms(view, start).dead[through])
        return Estimator(view.data.producer[value], through, how, off)
    if cancelled or not up or value in view.flow.roots:
        return None
    around = None
    for op in view.users(value):
        for result in view.data.outputs(op):
            if result in view.flow.between:
                if result not in view.flow.connected:
                    around = next(iter(_meetings(view, result, start, up - 1)), None)
                else:
                    linear = _name(view, op) in _LINEAR
                    around = _sum(view, result, value, start, up - 1) if linear else None
                if around is None:
                    return None
    return around


def _is_a_state(view: View, start: int, met: int, through: int) -> bool:
    """Whether what lost its gradient is `through` and more, and is taken off it elsewhere.

    `x - (x - q).detach()` is an estimator turned round. A step's `denoised = x - sigma * noise`,
    detached, and `(x - denoised) / sigma` some lines later is the same sum, and an accident.
    """
    if _same(view, start) == through:
        return False
    terms = _terms(view, start)
    if terms.dead[through] <= 0 or not terms.beside(through):
        return False
    lost, joined = (view.place_of(view.data.producer[value]) for value in (start, met))
    if lost is None or joined is None:
        return False
    return lost.file != joined.file or not joined.line <= lost.line <= joined.end_line


def _terms(view: View, total: int) -> _Terms:
    """All that a value is the sum of, sums within it too: by sign, with gradient and without."""
    terms = _Terms()
    waiting = [(total, 1, True, 0)]
    while waiting:
        value, sign, live, depth = waiting.pop()
        live = live and value in view.flow.connected
        value = _same(view, value, through_detach=not live)
        parts = list(_parts(view, value)) if depth < _DEEP else []
        if value != total:
            (terms.live if live else terms.dead)[value] += sign
            if not parts:
                terms.last.append(value)
        waiting += [(part, sign * own, live, depth + 1) for part, own in parts]
    return terms


def _parts(view: View, value: int) -> Iterator[tuple[int, int]]:
    """The tensors that a value is the sum of, each with its sign."""
    op = view.data.producer[value]
    if op < 0 or value in view.leaf.values:
        return
    name, inputs = _name(view, op), view.trace.ops.inputs_of(op)
    if name in _PLUS or (name in _MINUS and len(inputs) == 1):
        yield from ((part, 1) for part in inputs)
    elif name in _MINUS and len(inputs) == 2:
        yield from zip(inputs, (1, -1), strict=True)
    elif name in _TURNED and len(inputs) <= 2:
        yield from zip(inputs, (-1, 1), strict=False)
    elif name in _NEGATED and len(inputs) == 1:
        yield inputs[0], -1


def _same(view: View, value: int, through_detach: bool = True) -> int:
    """The value that this one is only a copy of, element by element."""
    while value not in view.leaf.values:
        op = view.data.producer[value]
        if op < 0:
            break
        callee, inputs = view.trace.ops.callee_of(op), view.trace.ops.inputs_of(op)
        copied = callee.kind in _SAME_KINDS or _name(view, op) in _SAME
        if callee.kind is Kind.DETACH and not through_detach:
            break
        if callee.kind is Kind.REENTRY and not _came_back_as_it_left(view, value):
            break
        meta = view.trace.values.describe(value)
        if not copied or len(inputs) != 1 or not meta.differentiable:
            break
        value = inputs[0]
    return value


def _came_back_as_it_left(view: View, value: int) -> bool:
    return any(one.same for one in view.trace.reentries if one.value == value)


def _name(view: View, op: int) -> str:
    return bare(view.trace.ops.callee_of(op).name)
