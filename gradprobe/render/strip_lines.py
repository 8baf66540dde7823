"""The strip broken into lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len

from gradprobe.render.plain import cropped
from gradprobe.render.strip import Word


def lines(words: Sequence[Word], width: int, hanging: int) -> list[list[Word]]:
    """The words in lines of at most `width` cells, all but the first with `hanging` cells to spare.

    A line ends before an arrow where it can, and otherwise between the stages of a step. A word
    that fits no line is cropped.
    """
    found: list[list[Word]] = []
    room = width
    for unit in _units(words):
        fits = _cells(unit) <= width - hanging
        for piece in [unit] if fits else _pieces(unit):
            if not found or _cells([*found[-1], *piece]) > room:
                room = width - hanging if found else width
                found.append([])
            for word in piece:
                left = room - _cells([*found[-1], replace(word, text="")])
                found[-1].append(replace(word, text=cropped(word.text, max(left, 0))))
    return found


def _cells(words: Sequence[Word]) -> int:
    return sum(cell_len(word.shown) + 1 for word in words) - 1


def _units(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Each arrow with all that it leads to."""
    unit: list[Word] = []
    for word in words:
        if word.arrow and unit:
            yield unit
            unit = []
        unit.append(word)
    if unit:
        yield unit


def _pieces(unit: Sequence[Word]) -> Iterator[list[Word]]:
    """An arrow with the first word behind it, then each word."""
    first = 2 if unit[0].arrow else 1
    yield list(unit[:first])
    for word in unit[first:]:
        yield [word]
