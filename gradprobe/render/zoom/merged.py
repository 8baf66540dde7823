"""Boxes of a picture put together: the arrows between them stay, those inside of one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gradprobe.records.picture import Arrow, Box, Picture, State

_MARKED: tuple[State, ...] = ("cut", "nonfinite", "zero")


def merged(picture: Picture, groups: Mapping[str, Box]) -> Picture:
    """The picture with each box of `groups`, by its key, inside of the box given for it.

    A new box stands where the first of its members stood. Two arrows that fall together are one:
    live only if both are.
    """
    boxes: dict[str, Box] = {}
    for box in picture.boxes:
        whole = groups.get(box.key, box)
        boxes.setdefault(whole.key, whole)
    home = {box.key: groups.get(box.key, box).key for box in picture.boxes}
    arrows: dict[tuple[str, str], Arrow] = {}
    for arrow in picture.arrows:
        tail, head = home.get(arrow.tail), home.get(arrow.head)
        if tail is None or head is None or tail == head:
            continue
        moved = Arrow(tail, head, arrow.state, arrow.label, arrow.finding)
        known = arrows.get((tail, head))
        arrows[tail, head] = moved if known is None else _beside(known, moved)
    return Picture(tuple(boxes.values()), tuple(arrows.values()))


def _beside(one: Arrow, other: Arrow) -> Arrow:
    told = one if one.label or not other.label else other
    state = one.state if one.state == other.state else "partial"
    if {one.state, other.state} == {"cut", "lost"}:
        state = "cut"
    return Arrow(one.tail, one.head, state, told.label, told.finding)


def state_of(boxes: Sequence[Box], arrows: Iterable[Arrow]) -> tuple[State, int | None]:
    """The state of boxes that are one, and the finding that was made in there.

    What was lost in there counts, then what became worth nothing there; else what all have. Where
    gradient comes in past what was lost, it is a part that passes.
    """
    keys = {box.key for box in boxes}
    inside = [a for a in arrows if a.tail in keys and a.head in keys]
    passes = boxes[-1].state in ("live", "partial")
    for state in _MARKED:
        made = [box.finding for box in boxes if box.state == state]
        if state == "cut":
            made += [arrow.finding for arrow in inside if arrow.state == "cut"]
        if made and (state == "cut" or made != [None] * len(made)):
            finding = next((number for number in made if number is not None), None)
            return ("partial" if state == "cut" and passes else state), finding
    states = {box.state for box in boxes}
    return (states.pop() if len(states) == 1 else "partial"), None


def last_norm(boxes: Sequence[Box]) -> float | None:
    """The norm of the gradient that comes to the end of a stretch."""
    return next((box.norm for box in reversed(boxes) if box.norm is not None), None)
