"""One source line around an expression, cropped to a width, and the carets under it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from gradprobe.records.source import Frame
from gradprobe.render.plain import head, tail, visible

_DOTS = "..."


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`before + expression + after` is the shown line; widths are in terminal cells."""

    before: str
    expression: str
    after: str

    @property
    def line(self) -> str:
        return self.before + self.expression + self.after

    @property
    def underline(self) -> str:
        """Carets under exactly the expression, at least one."""
        return " " * cell_len(self.before) + "^" * max(cell_len(self.expression), 1)


def excerpt(frame: Frame, width: int) -> Excerpt:
    """The frame's first line without its indent, in at most `width` cells around its expression."""
    source = frame.source
    col = min(frame.col, len(source))
    if frame.end_line == frame.line:
        end = max(min(frame.end_col, len(source)), col)
    else:  # it goes on below: underline what this line holds of it
        end = max(len(source.rstrip()), col)
    before = _shown(source[:col]).lstrip()
    expression = _shown(source[col:end])
    after = _shown(source[end:].rstrip())
    if cell_len(before) + cell_len(expression) + cell_len(after) <= width:
        return Excerpt(before, expression, after)
    return _crop(before, expression, after, width)


def _crop(before: str, expression: str, after: str, width: int) -> Excerpt:
    width = max(width, 12)
    most = width - 2 * len(_DOTS)
    if cell_len(expression) > most:
        expression = head(expression, most)
        after = _DOTS
    room = width - cell_len(expression)
    behind = min(cell_len(after), len(_DOTS))
    left = min(cell_len(before), room - behind, max(room * 2 // 3, room - cell_len(after)))
    if cell_len(before) > left:
        before = _DOTS + tail(before, left - len(_DOTS))
    room -= cell_len(before)
    if cell_len(after) > room:
        after = head(after, room - len(_DOTS)) + _DOTS
    return Excerpt(before, expression, after)


def _shown(text: str) -> str:
    return visible(text.replace("\t", "    "))
