"""The picture for the page, once for each level of detail, with its boxes to be pointed at."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from gradprobe.records.picture import Picture
from gradprobe.records.report import Report
from gradprobe.render.dot import source
from gradprobe.render.html.markup import words
from gradprobe.render.layout import lay_out
from gradprobe.render.plain import visible
from gradprobe.render.scene import describe, scene
from gradprobe.render.svg_tree import finish
from gradprobe.render.zoom import Drawn, zoomed

_SVG = "{http://www.w3.org/2000/svg}"
_LEVELS: tuple[tuple[Drawn, str], ...] = (("stage", "Stages"), ("step", "Steps"))
_OWN = {"auto": "Points", "module": "Modules", "op": "Ops"}


@dataclass(frozen=True, slots=True)
class Level:
    """`svg` is a sentence where the picture could not be drawn."""

    title: str
    picture: Picture
    svg: str
    drawn: bool = True


def levels(report: Report, engine: Literal["pure", "dot"]) -> list[Level]:
    """From far away to near by, each only where it shows something else than the one before.

    What fails is the layout engine's; what was found is still to be told.
    """
    pictures: list[tuple[str, Picture]] = []
    for depth, title in _LEVELS:
        picture = zoomed(report, depth, None).picture
        if picture.boxes and len(picture.boxes) < len(report.picture.boxes):
            pictures.append((title, picture))
    pictures.append((_OWN[report.picture.depth], report.picture))
    if len(pictures) > 2 and len(pictures[0][1].boxes) == len(pictures[1][1].boxes):
        del pictures[0]
    return [_level(report, title, picture, engine) for title, picture in pictures]


def _level(report: Report, title: str, picture: Picture, engine: Literal["pure", "dot"]) -> Level:
    try:
        # The page has the headline and the strip already.
        drawn = replace(scene(replace(report, picture=picture)), title=(), strip=())
        svg = finish(
            pointed(lay_out(source(drawn), engine)),
            visible(report.headline[:2000]),
            describe(picture),
        )
    except Exception as fault:
        why = words(str(fault) or repr(fault))
        return Level(title, picture, f"The picture could not be drawn: {why}", drawn=False)
    return Level(title, picture, for_page(svg))


def pointed(svg: str) -> str:
    """Graphviz's SVG with the numbers of its boxes, which it has as names, as data."""
    root = ET.fromstring(svg)
    for group in root.iter(f"{_SVG}g"):
        kind, name = group.get("class"), group.findtext(f"{_SVG}title") or ""
        if kind == "node":
            group.set("data-box", name.removeprefix("n"))
        elif kind == "edge":
            tail, _, head = name.partition("->")
            group.set("data-tail", tail.removeprefix("n"))
            group.set("data-head", head.removeprefix("n"))
    return ET.tostring(root, encoding="unicode")


def for_page(svg: str) -> str:
    """An SVG without what the policy of a page forbids, and with boxes that can have the focus."""
    root = ET.fromstring(svg)
    for element in root.iter():
        element.attrib.pop("style", None)  # the page's style sheet says it
    root.set("role", "group")
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    for box in _boxes(root):
        title = box.findtext(f"{_SVG}title") or ""
        spoken = " ".join("".join(text.itertext()) for text in box.iter(f"{_SVG}text"))
        box.set("role", "button")
        box.set("tabindex", "-1")
        box.set("aria-label", words(spoken or title, 200) or "box")
    ET.register_namespace("", _SVG.strip("{}"))
    return ET.tostring(root, encoding="unicode")


def _boxes(root: ET.Element) -> Iterator[ET.Element]:
    return (group for group in root.iter(f"{_SVG}g") if group.get("data-box") is not None)
