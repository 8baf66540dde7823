"""How much one box holds: the stages of a run, or its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, Literal, get_args

from gradprobe.errors import UsageError
from gradprobe.graph.cause import label_of
from gradprobe.records.picture import Arrow, Box, Picture
from gradprobe.records.report import Finding
from gradprobe.render.zoom.merged import last_norm, merged, state_of

Drawn = Literal["auto", "stage", "step", "module", "op"]
DEPTHS: Final = get_args(Drawn)
_NAMES = 4  # of stages, in one box


def at_depth(picture: Picture, depth: Drawn, findings: Sequence[Finding]) -> Picture:
    """The picture with a box for each stage of the whole run, or for each step.

    `auto` draws it as it is. `module` and `op` need a trace that was asked for them.

    Raises `UsageError` for a depth that the picture was not made for.
    """
    if depth == "auto" or depth == picture.depth:
        return picture
    if depth not in DEPTHS:
        raise UsageError(f"unknown depth {depth!r}: choose one of {', '.join(DEPTHS)}")
    if depth in ("module", "op"):
        raise UsageError(
            f"this report's picture shows no single {depth}s: trace again with --depth {depth}"
        )
    groups: dict[str, Box] = {}
    for members in _stretches(picture, depth):
        if len(members) > 1:
            whole = _whole(members, picture.arrows, findings, depth)
            groups.update((box.key, whole) for box in members)
    return merged(picture, groups)


def _stretches(picture: Picture, depth: Drawn) -> Iterator[list[Box]]:
    """Boxes in order that are to be one: of one step, or of steps in one state."""

    def same(numbered: tuple[int, Box]) -> tuple[object, ...]:
        number, box = numbered
        if box.step is None or box.kind in ("leaf", "root", "source"):
            return (number,)
        return (None, box.step) if depth == "step" else (None,)

    for _, stretch in groupby(enumerate(picture.boxes), same):
        members = [box for _, box in stretch]
        yield from [members] if depth == "step" else _by_state(members, picture.arrows)


def _by_state(members: Sequence[Box], arrows: Sequence[Arrow]) -> Iterator[list[Box]]:
    """Whole steps, those that fared alike together."""
    steps = [list(group) for _, group in groupby(members, lambda box: box.step)]
    for _, alike in groupby(steps, lambda step: state_of(step, arrows)):
        yield [box for step in alike for box in step]


def _whole(
    members: Sequence[Box], arrows: Sequence[Arrow], findings: Sequence[Finding], depth: Drawn
) -> Box:
    first, last = _span(members)
    state, number = state_of(members, arrows)
    names = dict.fromkeys(box.label for box in members if box.kind == "stage")
    told = list(names)[:_NAMES] + (["..."] if len(names) > _NAMES else [])
    detail = ", ".join(told)
    if number is not None and number < len(findings):
        detail = label_of(findings[number])
    elif first != last:
        detail = f"{last - first + 1} steps"
    at = next((box.at for box in members if box.finding is not None), members[0].at)
    return Box(
        key=f"{depth}:{members[0].key}",
        kind="stage" if first == last else "fold",
        label=f"step {first}" if first == last else f"steps {first}-{last}",
        detail=detail,
        state=state,
        at=at,
        step=first,
        finding=number,
        norm=last_norm(members),
        last_step=None if first == last else last,
    )


def _span(members: Sequence[Box]) -> tuple[int, int]:
    """The first and the last step."""
    steps = [step for box in members for step in (box.step, box.last_step) if step is not None]
    return min(steps), max(steps)
