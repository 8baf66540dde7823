"""A picture with its looks decided: what dot and svg both draw.

State is told three times, by colour, by line and by words, so that neither colour vision nor a
legend is needed. The colours are Paul Tol's, which stay apart for colour-blind readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.records.picture import Arrow, Box, BoxKind, Picture, State
from gradprobe.records.report import Report
from gradprobe.records.source import Frame
from gradprobe.render.plain import cropped, visible, wrapped
from gradprobe.render.thin import thinned

CAPTION = "Values run along the arrows; gradient comes back along solid lines only."
_TITLE_CELLS = 30
_DETAIL_CELLS = 34
_DETAIL_LINES = 2
_HEADLINE_CELLS = 96


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks: line colour and style, fill, and the words that say it."""

    line: str
    text: str
    fill: str
    style: str
    words: str


LOOKS: dict[State, Look] = {
    "live": Look("#00806F", "#00604F", "#E3F4F1", "solid", ""),
    "partial": Look("#C46A00", "#8A4A00", "#FDF0DC", "solid", "part of the gradient"),
    "cut": Look("#CC3311", "#B0260A", "#FCE6E0", "dashed", "\u00d7 gradient lost here"),
    "lost": Look("#8C8C8C", "#5E5E5E", "#F3F3F3", "dotted", "values only"),
    "unknown": Look("#4A7DB5", "#2F5F93", "#EEF4FA", "dashed", "? not known"),
}
_TAGS: dict[BoxKind, str] = {"leaf": "leaf", "root": "root", "source": "not from the leaf"}
_SHAPES: dict[BoxKind, str] = {"fold": "box3d", "source": "note", "op": "box"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A box with its text: `tag` small beside the title, `lines` in code type."""

    key: str
    outline: str
    rounded: bool
    heavy: bool
    look: Look
    title: str
    tag: str
    lines: tuple[str, ...]
    tooltip: str


@dataclass(frozen=True, slots=True)
class Wire:
    """An arrow; `label` starts with a cross where gradient stops."""

    tail: str
    head: str
    look: Look
    heavy: bool
    label: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything to draw, as plain strings: not escaped for any format, but safe to show."""

    title: tuple[str, ...]
    caption: str
    shapes: tuple[Shape, ...]
    wires: tuple[Wire, ...]


def scene(report: Report) -> Scene:
    """The scene of a report's picture."""
    picture = report.picture
    return Scene(
        _lines(report.headline, _HEADLINE_CELLS, 3),
        CAPTION if picture.arrows else "Nothing was recorded that could be drawn.",
        tuple(_shape(box) for box in picture.boxes),
        tuple(_wire(arrow, report) for arrow in thinned(picture)),
    )


def describe(picture: Picture) -> str:
    """The picture in one sentence, for a reader who hears it."""
    cuts = [visible(arrow.label) for arrow in picture.arrows if arrow.state == "cut"]
    where = f"; gradient is lost at {', '.join(filter(None, cuts[:8]))}" if any(cuts) else ""
    names = [cropped(box.label, _TITLE_CELLS) for box in picture.boxes]
    span = f" from {names[0]} to {names[-1]}" if names else ""
    return f"{len(names)} boxes and {len(picture.arrows)} arrows{span}{where}."


def _shape(box: Box) -> Shape:
    tag = _TAGS.get(box.kind, "")
    step = f"step {box.step}"
    if (
        not tag
        and box.step is not None
        and box.kind != "fold"
        and step not in (box.label, box.detail)
    ):
        tag = step
    return Shape(
        box.key,
        _SHAPES.get(box.kind, "box"),
        box.kind in ("leaf", "stage", "root"),
        box.kind in ("leaf", "root") or box.state == "cut",
        LOOKS[box.state],
        cropped(box.label, _TITLE_CELLS),
        tag,
        _lines(box.detail, _DETAIL_CELLS, _DETAIL_LINES),
        _tooltip(box.label, box.at),
    )


def _wire(arrow: Arrow, report: Report) -> Wire:
    look = LOOKS[arrow.state]
    label = cropped(arrow.label, 40)
    mark = "\u00d7 " if arrow.state == "cut" else ""
    tooltip = label
    if arrow.finding is not None and arrow.finding < len(report.findings):
        finding = report.findings[arrow.finding]
        tooltip = _tooltip(f"{finding.code} {finding.name}: {finding.message}", finding.at)
    return Wire(arrow.tail, arrow.head, look, arrow.state == "cut", mark + label, tooltip)


def _tooltip(first: str, at: Frame | None) -> str:
    lines = [cropped(first, 300)]
    if at is not None:
        lines.append(visible(f"{at.place} in {at.function}"))
        lines.append(cropped(at.source.strip(), 200))
    return "\n".join(filter(None, lines))


def _lines(text: str, cells: int, most: int) -> tuple[str, ...]:
    """`text` wrapped into at most `most` lines; what is left out shows as dots."""
    lines = wrapped(visible(text[: 4 * cells * most]), cells)
    if len(lines) > most:
        lines[most - 1 :] = [cropped(" ".join(lines[most - 1 :]), cells)]
    return tuple(lines)
