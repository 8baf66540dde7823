"""How wide a text is that Graphviz laid out, so that any font can be made to keep to its box.

The widths are those of Adobe's font metrics for Helvetica, Helvetica-Bold and Courier, in
thousandths of the font's size: printable ASCII in order, and the two others that pictures use.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Final

_REGULAR = (
    (278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),  # to /
    tuple(repeat(556, 10)),  # digits
    (278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278),  # to I
    (500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667),  # to Y
    (611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222),  # to i
    (222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500),  # to y
    (500, 334, 260, 334, 584),  # to ~
)
_BOLD = (
    (278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278),
    tuple(repeat(556, 10)),
    (333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278),
    (556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667),
    (611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278),
    (278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556),
    (500, 389, 280, 389, 584),
)
_MONO = 600
_OTHERS = {0xA0: 278, 0xD7: 584}  # the space that does not break, and the cross of a cut
_WIDTHS: Final = {
    False: {**dict(zip(range(32, 127), chain(*_REGULAR), strict=True)), **_OTHERS},
    True: {**dict(zip(range(32, 127), chain(*_BOLD), strict=True)), **_OTHERS},
}


def width(text: str, size: float, *, bold: bool, mono: bool) -> float | None:
    """The width of `text` in the unit of `size`; None where a character has none here."""
    widths = _WIDTHS[bold]
    if not text or any(ord(c) not in widths for c in text):
        return None
    thousandths = len(text) * _MONO if mono else sum(widths[ord(c)] for c in text)
    return thousandths * size / 1000
