"""Strings from a program made fit to show: nothing in them steers a terminal or breaks XML."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from rich.cells import cell_len, chop_cells, set_cell_size

from gradprobe.records.source import Frame

_DTYPES = {  # as torch.fx abbreviates them
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "complex64": "c64",
    "complex128": "c128",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "b8",
}
# `a/b.py` or `a/b.py:3:5` as it stands in a sentence: with its quotes, a comma or a colon.
_PATH = re.compile(
    r"""["'`(\[]*(?:[A-Za-z]:)?[\w.@+~/\\-]*[/\\][\w.@+~-]*\.\w+(?::\d+){0,2}["'`)\].,;:]*"""
)
_JOINERS = "\u200c\u200d"  # invisible, but Persian, Hindi and emoji are spelt with them


def visible(text: str) -> str:
    """`text` on one line, with control, bidi-override and unencodable characters written out.

    A source line may hold escape sequences or characters that reorder what follows; shown raw
    they would run in the reader's terminal, or make the SVG ill-formed.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable() or char in _JOINERS or unicodedata.category(char) in ("Zs", "Co"):
        return char
    return " " if char in "\t\n\r" else ascii(char)[1:-1]


def cropped(text: str, cells: int) -> str:
    """`text` in at most `cells` terminal cells, with `...` where its end is missing."""
    text = visible(text[: 4 * cells])
    return text if cell_len(text) <= cells else head(text, max(cells - 3, 0)) + "..."[:cells]


def head(text: str, cells: int) -> str:
    """The longest start of `text` that fits into `cells`."""
    return text if cell_len(text) <= cells else set_cell_size(text, cells).rstrip()


def tail(text: str, cells: int) -> str:
    """The longest end of `text` that fits into `cells`."""
    text = text[-cells:] if cells > 0 else ""
    while cell_len(text) > cells:
        text = text[1:]
    return text


def wrapped(text: str, cells: int, *, whole_paths: bool = False) -> list[str]:
    """`text` in lines of at most `cells`, broken between words, or inside a longer word.

    With `whole_paths` a path is a line of its own if it has to be, however long: in two pieces it
    is no link.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= cells:
            lines[-1] += f" {word}"
        elif whole_paths and _PATH.fullmatch(word):
            lines.append(word)
        else:
            lines += chop_cells(word, cells) or [word]  # rich drops a word of no width
    return lines


def short_path(file: str, base: str | None = None) -> str:
    """`file` relative to `base` (None: the current directory) where that is shorter."""
    try:
        relative = os.path.relpath(file, base) if os.path.isabs(file) else file
    except (OSError, ValueError):  # no current directory, another drive, a NUL in the name
        return file
    return relative if len(relative) < len(file) else file


def place(frame: Frame, base: str | None = None) -> str:
    """`path:line:col` as an editor or a terminal makes it a link."""
    return visible(f"{short_path(frame.file, base)}:{frame.line}:{frame.col + 1}")


def near_place(frame: Frame) -> str:
    """`file.py:line`, for where there is room for a name only."""
    return visible(f"{Path(frame.file).name}:{frame.line}")


def tensor(dtype: str, shape: tuple[int, ...]) -> str:
    """`f32[1,4,8,8]`."""
    name = dtype.removeprefix("torch.")
    return visible(f"{_DTYPES.get(name, name)}[{','.join(map(str, shape))}]")


def size(count: int) -> str:
    """Bytes as people say them: `512 B`, `61.5 kB`."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
