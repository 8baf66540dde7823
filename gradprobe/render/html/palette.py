"""The colours of states as CSS, light and dark, for the page and for the picture in it.

The light ones are those of every picture. The dark ones have the same hues, so that a reader who
switches finds what they saw; a rule for each colour that Graphviz wrote puts them into the drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gradprobe.records.picture import State
from gradprobe.render.looks import LOOKS

# Line, text and fill on a dark page.
_DARK: Final[dict[State, tuple[str, str, str]]] = {
    "live": ("#35B8A4", "#7FDCCD", "#12302D"),
    "partial": ("#E59A3C", "#F3BE7E", "#35270F"),
    "zero": ("#CDAE3A", "#E3CC78", "#302A10"),
    "nonfinite": ("#C678B0", "#E3A9D4", "#331B2D"),
    "cut": ("#F0694C", "#FF9F89", "#3B1B14"),
    "lost": ("#8A949C", "#AEB7BE", "#242A2F"),
    "unknown": ("#6FA3DC", "#A3C7EE", "#182838"),
}
# What stands beside the colour: a mark, and what it says.
MARKS: Final[dict[State, tuple[str, str]]] = {
    "live": ("\u2192", "gradient passes"),
    "partial": ("~", "part of the gradient"),
    "zero": ("0", "zero gradient"),
    "nonfinite": ("!", "NaN or Inf"),
    "cut": ("\u00d7", "gradient lost here"),
    "lost": ("\u00b7", "values only"),
    "unknown": ("?", "not known"),
}
# Of the drawing: its ink, its faint ink, and its paper.
_DRAWN: Final = {"#1F2933": "--ink", "#5E6B75": "--faint", "white": "--card", "black": "--ink"}


def palette() -> str:
    """The style sheet of all states."""
    dark = "\n".join(_states(_DARK))
    light = "\n".join(
        _states({state: (look.line, look.text, look.fill) for state, look in LOOKS.items()})
    )
    return "\n".join(
        [
            f":root {{\n{light}\n}}",
            f"@media (prefers-color-scheme: dark) {{\n:root:not([data-theme=light]) {{\n{dark}",
            "}\n}",
            f":root[data-theme=dark] {{\n{dark}\n}}",
            *(
                f"[data-state={state}] {{ --line: var(--{state}-line);"
                f" --text: var(--{state}-text); --fill: var(--{state}-fill); }}"
                for state in LOOKS
            ),
            *_drawing(),
            "",
        ]
    )


def _states(colors: dict[State, tuple[str, str, str]]) -> Iterator[str]:
    for state, (line, text, fill) in colors.items():
        yield f"  --{state}-line: {line}; --{state}-text: {text}; --{state}-fill: {fill};"


def _drawing() -> Iterator[str]:
    """By the attribute that Graphviz wrote, the variable that is to take its place."""
    named = dict(_DRAWN)
    for state, look in LOOKS.items():
        named |= {look.line: f"--{state}-line", look.text: f"--{state}-text"}
        named |= {look.fill: f"--{state}-fill"}
    for color, variable in named.items():
        for attribute in ("fill", "stroke"):
            yield f'.drawing svg [{attribute}="{color}" i] {{ {attribute}: var({variable}); }}'
    yield ".drawing svg text:not([fill]) { fill: var(--ink); }"
