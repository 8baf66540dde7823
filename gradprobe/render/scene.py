"""A picture with its looks decided: what dot and svg both draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from gradprobe.records.picture import Arrow, Box, BoxKind, Picture, State
from gradprobe.records.report import OVERWRITTEN, Finding, Report
from gradprobe.records.source import Frame
from gradprobe.render.chips import Chip, chips
from gradprobe.render.looks import CROSS, LOOKS, Look
from gradprobe.render.plain import cropped, visible, wrapped
from gradprobe.render.thin import thinned
from gradprobe.render.widths import Widths

CAPTION = "Values run along the arrows; solid lines can carry gradient back."
WIDTHS = " The wider a line, the larger the gradient's norm."
_NO_ARROWS = "No values run from one box to another."
_NO_BOXES = "Nothing was recorded that could be drawn."
_TITLE_CELLS = 30
_DETAIL_CELLS = 34
_DETAIL_LINES = 2
_LABEL_CELLS = 40
_HEADLINE_CELLS = 96


_TAGS: dict[BoxKind, str] = {"leaf": "leaf", "root": "root", "source": "not from the leaf"}
_WORDS: dict[tuple[BoxKind, State], str] = {  # where the words of the state would mislead
    ("leaf", "lost"): "\u00d7 no gradient arrives",
    ("leaf", "cut"): "\u00d7 the root does not use it",
    ("root", "lost"): "\u00d7 no way back to the leaf",
    ("source", "unknown"): "",
}
_MADE: dict[State, str] = {  # where the box is the op that made the gradient so
    "zero": "0 becomes zero here",
    "nonfinite": "! becomes NaN or Inf here",
}
_RAISED = "\u00d7 backward raised here"
_WROTE = "! writes over what was saved"
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
    words: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Wire:
    """An arrow; `label` starts with a cross where gradient stops.

    A finding stands in full on one arrow; where it stops gradient again there is the cross alone.
    `width` is in points.
    """

    tail: str
    head: str
    look: Look
    width: float
    label: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything to draw, as plain strings: not escaped for any format, but safe to show.

    `strip` is the run from leaf to root, in lines.
    """

    title: tuple[str, ...]
    strip: tuple[tuple[Chip, ...], ...]
    caption: str
    shapes: tuple[Shape, ...]
    wires: tuple[Wire, ...]


def scene(report: Report) -> Scene:
    """The scene of a report's picture."""
    picture = report.picture
    arrows = thinned(picture)
    without = _NO_ARROWS if picture.boxes else _NO_BOXES
    told = _told(arrows)
    widths = Widths.of(picture)
    return Scene(
        _lines(report.headline, _HEADLINE_CELLS, 3),
        chips(report),
        (CAPTION + (WIDTHS if widths.tell else "")) if arrows else without,
        tuple(_shape(box, report.findings) for box in picture.boxes),
        tuple(_wire(arrow, widths.along(arrow), arrow in told, report) for arrow in arrows),
    )


def _told(arrows: Sequence[Arrow]) -> set[Arrow]:
    """The arrow of each label that shows it: the first that is cut, or else the first."""
    first: dict[str, Arrow] = {}
    for arrow in sorted(arrows, key=lambda a: a.state != "cut"):
        first.setdefault(arrow.label, arrow)
    return set(first.values())


def describe(picture: Picture) -> str:
    """The picture in one sentence, for a reader who hears it."""
    cuts = [visible(arrow.label) for arrow in picture.arrows if arrow.state == "cut"]
    places = list(filter(None, dict.fromkeys(cuts)))
    where = f"; gradient is lost at {', '.join(places[:8])}" if places else ""
    names = [cropped(box.label, _TITLE_CELLS) for box in picture.boxes]
    span = f" from {names[0]} to {names[-1]}" if names else ""
    return f"{len(names)} boxes and {len(picture.arrows)} arrows{span}{where}."


def _shape(box: Box, findings: Sequence[Finding]) -> Shape:
    tag = _TAGS.get(box.kind, "")
    step = f"step {box.step}"
    if (
        not tag
        and box.step is not None
        and box.kind != "fold"
        and box.label != step
        and not box.detail.startswith(step)
    ):
        tag = step
    return Shape(
        box.key,
        _SHAPES.get(box.kind, "box"),
        box.kind in ("leaf", "stage", "root"),
        box.kind in ("leaf", "root") or box.state == "cut" or _made(box),
        LOOKS[box.state],
        cropped(box.label, _TITLE_CELLS),
        tag,
        _lines(box.detail, _DETAIL_CELLS, _DETAIL_LINES),
        _words(box, findings),
        _tooltip(box.label if box.norm is None else f"{box.label}, |grad| {box.norm:.3g}", box.at),
    )


def _words(box: Box, findings: Sequence[Finding]) -> str:
    if _made(box):
        return _MADE[box.state]
    of = [finding for finding in findings if finding.code in OVERWRITTEN]
    if box.state == "cut" and box.finding is not None and box.finding < len(findings):
        if findings[box.finding].code.startswith("GP2"):
            return _RAISED
    elif box.kind != "leaf" and any(box.at == finding.at for finding in of):
        return _WROTE
    return _WORDS.get((box.kind, box.state), LOOKS[box.state].words)


def _made(box: Box) -> bool:
    """Whether the box is the op that made the gradient zero, or not finite."""
    return box.finding is not None and box.state in _MADE


def _wire(arrow: Arrow, width: float, told: bool, report: Report) -> Wire:
    look = LOOKS[arrow.state]
    tooltip = _place_label(arrow.label)
    mark = CROSS if arrow.state == "cut" else ""
    label = " ".join(filter(None, (mark, tooltip if told else "")))
    if arrow.finding is not None and arrow.finding < len(report.findings):
        finding = report.findings[arrow.finding]
        allowed = " (allowed)" if finding.allowed else ""
        title = f"{finding.code} {finding.name}{allowed}"
        tooltip = _tooltip(f"{title}: {finding.message}", finding.at)
    return Wire(arrow.tail, arrow.head, look, width, label, tooltip)


def _place_label(label: str) -> str:
    """`GP102 a_very_long_na...:117`: the line number is what the reader needs."""
    label = visible(label)
    start, colon, line = label.rpartition(":")
    if cell_len(label) <= _LABEL_CELLS or not colon or len(line) > _LABEL_CELLS // 2:
        return cropped(label, _LABEL_CELLS)
    return f"{cropped(start, _LABEL_CELLS - len(line) - 1)}:{line}"


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
