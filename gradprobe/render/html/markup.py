"""Pieces of markup; whatever comes from the program goes in through `shown` or an attribute."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from gradprobe.records.picture import State
from gradprobe.records.source import Frame
from gradprobe.render.excerpt import excerpt
from gradprobe.render.plain import cropped, place, visible

LONGEST = 1000  # cells of one string of the program
_SOURCE = 240  # cells of a line of source


def words(text: str, cells: int = LONGEST) -> str:
    """A string of the program on one line and bounded, not yet escaped."""
    return cropped(visible(text[: 4 * cells]), cells)


def shown(text: str, cells: int = LONGEST) -> str:
    """A string of the program as text of a page."""
    return escape(words(text, cells))


def tag(name: str, inside: str | Iterable[str] = "", /, **attributes: str | bool | None) -> str:
    """An element; `inside` is markup. Of a name `class_` or `aria_label` the rest is made."""
    opened = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        opened.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    inner = inside if isinstance(inside, str) else "".join(inside)
    return f"<{' '.join(opened)}>{inner}</{name}>"


def state_tag(state: State, text: str, class_: str = "state") -> str:
    """A word with the colours of a state."""
    return tag("span", text, class_=class_, data_state=state)


def spans(frame: Frame) -> tuple[str, str, str]:
    """A frame's line before its expression, the expression, and what follows; not yet escaped."""
    cut = excerpt(frame, _SOURCE)
    return cut.before, cut.expression, cut.after


def code(frame: Frame, base: str | None, word: str = "") -> str:
    """Where a frame is, and its line with the expression marked."""
    function = f" in {tag('code', shown(frame.function, 80))}" if frame.function else ""
    lead = f"{tag('span', shown(word, 40), class_='word')} " if word else ""
    where = tag("span", shown(place(frame, base)), class_="place")
    caption = tag("figcaption", f"{lead}{where}{function}")
    if not frame.source.strip():
        return tag("figure", caption, class_="code")
    before, expression, after = map(escape, spans(frame))
    number = tag("span", str(frame.line), class_="line")
    text = f"{number}{before}{tag('mark', expression)}{after}"
    return tag("figure", caption + tag("pre", tag("code", text)), class_="code")
