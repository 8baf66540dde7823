"""How a state looks in a picture.

State is told three times, by colour, by line and by words, so that neither colour vision nor a
legend is needed. The colours are Paul Tol's, which stay apart for colour-blind readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradprobe.records.picture import State


@dataclass(frozen=True, slots=True)
class Look:
    """How a state looks: line colour and style, fill, and the words that say it."""

    line: str
    text: str
    fill: str
    style: str
    words: str


CROSS = "\u00d7"
LOOKS: dict[State, Look] = {
    "live": Look("#00806F", "#00604F", "#E3F4F1", "solid", ""),
    "partial": Look("#C46A00", "#8A4A00", "#FDF0DC", "solid", "part of the gradient"),
    "zero": Look("#997700", "#6B5300", "#FBF6DD", "dashed", "0 zero gradient"),
    "nonfinite": Look("#882E72", "#6B1F59", "#F7E9F3", "bold", "! NaN or Inf"),
    "cut": Look("#CC3311", "#B0260A", "#FCE6E0", "dashed", "\u00d7 gradient lost here"),
    "lost": Look("#8C8C8C", "#5E5E5E", "#F3F3F3", "dotted", "values only"),
    "unknown": Look("#4A7DB5", "#2F5F93", "#EEF4FA", "dashed", "? not known"),
}
