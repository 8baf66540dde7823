"""The picture as a Mermaid flowchart, which GitHub and GitLab draw inside Markdown.

Format: Mermaid's documentation, "Flowcharts - Basic Syntax".
"""

from __future__ import annotations

from gradprobe.records.picture import Arrow, Box, Picture, State
from gradprobe.render.machine.places import encodable
from gradprobe.render.plain import cropped, near_place

_WIDEST = 60
_SHAPES = {  # a leaf and the root are round, a stage is a box, an op has slanted sides
    "leaf": ('(["', '"])'),
    "root": ('(["', '"])'),
    "stage": ('["', '"]'),
    "op": ('[/"', '"/]'),
    "fold": ('[["', '"]]'),
    "source": ('("', '")'),
}
_ARROWS: dict[State, str] = {
    "live": "==>",
    "partial": "-->",
    "zero": "-.->",
    "nonfinite": "==>",
    "cut": "-.-x",
    "lost": "-.->",
    "unknown": "-->",
}
# Okabe and Ito's colours, which most colour-blind readers tell apart.
_CLASSES: dict[State, str] = {
    "live": "stroke:#009e73,stroke-width:3px",
    "partial": "stroke:#e69f00,stroke-width:3px,stroke-dasharray:8 3",
    "zero": "stroke:#997700,stroke-width:2px,stroke-dasharray:6 6",
    "nonfinite": "stroke:#882e72,stroke-width:4px",
    "cut": "stroke:#d55e00,stroke-width:4px",
    "lost": "stroke:#d55e00,stroke-dasharray:3 3",
    "unknown": "stroke:#999999,stroke-dasharray:1 4",
}


def flowchart(picture: Picture) -> list[str]:
    """The lines of a flowchart from leaf to root."""
    number = {box.key: f"b{n}" for n, box in enumerate(picture.boxes)}
    lines = ["flowchart LR"]
    lines += [_box(number[box.key], box) for box in picture.boxes]
    for arrow in picture.arrows:
        if arrow.tail in number and arrow.head in number:
            lines.append(_arrow(number[arrow.tail], number[arrow.head], arrow))
    for state, style in _CLASSES.items():
        members = [number[box.key] for box in picture.boxes if box.state == state]
        if members:
            lines.append(f"classDef {state} {style}")
            lines.append(f"class {','.join(members)} {state}")
    return lines


def _box(name: str, box: Box) -> str:
    opened, closed = _SHAPES[box.kind]
    texts = [box.label, box.detail]
    if box.at is not None and box.kind in ("op", "source"):
        texts.append(near_place(box.at))
    return f"{name}{opened}{'<br>'.join(_quoted(t) for t in texts if t.strip()) or ' '}{closed}"


def _arrow(tail: str, head: str, arrow: Arrow) -> str:
    label = f'|"{_quoted(arrow.label)}"|' if arrow.label.strip() else ""
    return f"{tail} {_ARROWS[arrow.state]}{label} {head}"


def _quoted(text: str) -> str:
    """A label's text: Mermaid has entities of its own, which begin with `#`."""
    shown = cropped(text, _WIDEST)
    return encodable(
        "".join(c if c.isalnum() or c in " _.,:/+-=()[]" else f"#{ord(c)};" for c in shown)
    )
