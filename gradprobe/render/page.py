"""A page of terminal text: the few kinds of line that the text report is made of."""

from __future__ import annotations

from io import StringIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from gradprobe.records.source import Frame
from gradprobe.render.excerpt import excerpt
from gradprobe.render.plain import cropped, place, visible, wrapped

_HANGING = 5  # cells before what follows a path on the next line
_GUTTER = 7  # cells for the line number in front of source


class Page:
    """Collects lines; no string of the program is read as markup or reaches a terminal raw."""

    def __init__(self, width: int, color: bool, base: str | None) -> None:
        self.width = max(width, 40)
        self._base = base
        self._file = StringIO()
        self._console = Console(
            file=self._file,
            width=self.width,
            height=100,
            force_terminal=color,
            no_color=not color,
            color_system="standard" if color else None,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
            force_jupyter=False,  # there it would display its lines and leave the file empty
        )

    @property
    def text(self) -> str:
        """All lines so far, without blanks at their ends."""
        lines = self._file.getvalue().removesuffix("\n").split("\n")
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def blank(self) -> None:
        self._console.print()

    def show(self, what: RenderableType) -> None:
        self._console.print(what)

    def unbroken(self, line: Text) -> None:
        """A line that is never wrapped: a path that is cut in two is no link any more."""
        self._console.print(line, no_wrap=True, overflow="ignore", crop=False)

    def paragraph(self, sentence: str, style: str = "", label: str = "", indent: int = 2) -> None:
        """A wrapped sentence, hanging behind its label; a path in it is never broken."""
        self.hanging(Text(f"{label} ", style="bold") if label else Text(), sentence, style, indent)

    def hanging(self, label: Text, sentence: str, style: str = "", indent: int = 2) -> None:
        """A sentence whose further lines stand under its first word, behind the label."""
        start = Text(" " * indent) + label
        room = max(self.width - start.cell_len, 8)
        for words in wrapped(visible(sentence), room, whole_paths=True) or [""]:
            line = start + Text(words, style=style)
            self.unbroken(line)
            start = Text(" " * start.cell_len)

    def place(self, frame: Frame, word: str = "-->", *, quote: bool = False) -> None:
        """Where a frame is; with `quote`, its expression too as far as the line has room."""
        line = Text.assemble("  ", (visible(word), "dim"), " ", (place(frame, self._base), "bold"))
        self._add(line, f" in {visible(frame.function)}", "")
        room = self.width - line.cell_len - 2
        if quote and frame.expression and room >= 12:
            line.append(f"  {cropped(frame.expression, room)}", style="dim")
        self.unbroken(line)

    def _add(self, line: Text, more: str, style: str) -> None:
        room = self.width - line.cell_len
        if cell_len(more) > room >= 12 or cell_len(more) > self.width - _HANGING:
            more = cropped(more, max(room, 24))
        if line.cell_len + cell_len(more) > self.width:
            self.unbroken(line.copy())
            line.truncate(0)
            more = f"{'':{_HANGING}}{more}"
        line.append(more, style=style)

    def source(self, frame: Frame, style: str) -> None:
        """The frame's line with its number, and carets under exactly the expression."""
        if not frame.source.strip():
            return
        # One cell is kept for a caret that stands past the end of the line.
        shown = excerpt(frame, self.width - _GUTTER - 4)
        number = Text(f"{frame.line:>{_GUTTER}} | ", style="dim")
        self.unbroken(Text.assemble(number, shown.before, (shown.expression, style), shown.after))
        self.unbroken(Text.assemble((f"{'':>{_GUTTER}} | ", "dim"), (shown.underline, style)))
