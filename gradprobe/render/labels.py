"""Labels for Graphviz: its HTML-like tables and quoted strings, with every text escaped."""

from __future__ import annotations

from html import escape as escape_html

import graphviz
from rich.cells import cell_len

SANS = "Helvetica"
MONO = "Courier"
INK = "#1F2933"
FAINT = "#5E6B75"


def table(*rows: str) -> str:
    """A label that is a table of rows.

    Graphviz takes no table without a row, so that of a stage without a name gets an empty one.
    """
    opening = '<table border="0" cellborder="0" cellspacing="0" cellpadding="1">'
    return f"<{opening}{''.join(rows) or row('&#160;')}</table>>"


def row(*cells: str, wide: str = "") -> str:
    """A row of cells beside each other; `wide` is its text where it may be wider than known."""
    filled = [cell for cell in cells if cell]
    if not filled:
        return ""
    inside = "&#160;&#160;".join(filled)
    return f'<tr><td align="left"{floor(wide, 8)}>{inside}</td></tr>'


def floor(text: str, points: int) -> str:
    """A least width, of so many points a cell: Graphviz knows none for what is not ASCII."""
    return "" if text.isascii() else f' width="{points * cell_len(text)}"'


def bold(text: str) -> str:
    """Escaped text in bold type."""
    return f"<b>{as_html(text)}</b>" if text else ""


def font(text: str, color: str, size: int, face: str = SANS, *, raw: bool = False) -> str:
    """Text in a colour, a size in points and a face; `raw` text is escaped already."""
    if not text:
        return ""
    inside = text if raw else as_html(text)
    return f'<font face="{face}" color="{color}" point-size="{size}">{inside}</font>'


def as_html(text: str) -> str:
    """`text` in an HTML-like label.

    There too Graphviz expands `\\N` to the box's name, and nothing escapes it: the backslash stands
    in a run of text of its own.
    """
    return escape_html(text).replace("\\", "<font>\\</font>")


def quoted(text: str) -> str:
    """`text` in a quoted string, where Graphviz expands entities as well as backslashes."""
    escaped: str = graphviz.escape(text.replace("&", "&amp;"))
    return escaped
