"""The strip as a picture has it above its boxes: small labels with arrows between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradprobe.records.picture import State
from gradprobe.records.report import Report
from gradprobe.render.looks import CROSS, LOOKS, Look
from gradprobe.render.states import APART, LIVE, LOST, MISSED, NONFINITE, ZERO
from gradprobe.render.strip import CUT, Word, strip
from gradprobe.render.strip_lines import lines

_CELLS = 150
_MOST_LINES = 5
_LOOK: dict[str, State] = {
    LIVE: "live",
    LOST: "lost",
    CUT: "cut",
    MISSED: "cut",
    APART: "lost",
    ZERO: "zero",
    NONFINITE: "nonfinite",
}
_MARKED = {"-?->": "? \u2192", "-0->": "0 \u2192", "-!->": "! \u2192"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A label, or an `arrow` to the next one; `words` are pieces of text and their colours."""

    words: tuple[tuple[str, str], ...]
    look: Look
    arrow: bool


def chips(report: Report) -> tuple[tuple[Chip, ...], ...]:
    """The strip in lines; none for a report without one."""
    told = lines(strip(report), _CELLS, 0)
    return tuple(tuple(_chips(line)) for line in told[:_MOST_LINES])


def _chips(line: Sequence[Word]) -> list[Chip]:
    found: list[list[Word]] = []
    for word in line:
        if word.arrow or not found or found[-1][0].arrow:
            found.append([])
        found[-1].append(word)
    return [_chip(words) for words in found]


def _chip(words: Sequence[Word]) -> Chip:
    first = words[0]
    if first.arrow:
        look = LOOKS[_LOOK.get(first.state, "unknown")]
        return Chip(((_arrow(first), look.text),), look, arrow=True)
    states = {word.state for word in words} - {APART} or {APART}
    only = states.pop() if len(states) == 1 else ""
    look = LOOKS[_LOOK.get(only, "unknown") if only else "partial"]
    text = " ".join(word.shown for word in words)
    if text.startswith("[") and text.endswith("]"):  # not where a line ends within a step
        words = [
            replace(
                word,
                before=word.before.removeprefix("["),
                text=word.text.removesuffix("]") if word is words[-1] else word.text,
            )
            for word in words
        ]
    return Chip(tuple(map(_piece, words)), look, arrow=False)


def _piece(word: Word) -> tuple[str, str]:
    mark = f"{CROSS} " if word.off else ""
    state: State = "cut" if word.off else _LOOK.get(word.state, "partial")
    return f"{word.before}{mark}{word.text}", LOOKS[state].text


def _arrow(word: Word) -> str:
    """`--x GP102..>` as a picture can show it."""
    if word.state == CUT:
        return word.text.replace("--x", CROSS).replace("..>", " \u2192")
    return _MARKED.get(word.text, "\u2192")
