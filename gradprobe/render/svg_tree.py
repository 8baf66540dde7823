"""Graphviz's SVG made fit for a page: named, described, with plain tooltips and no prolog."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from gradprobe.render.metrics import width

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_TITLE = f"{{{_SVG}}}title"
_SHRUNK = 0.7  # of its size: below that, words in a drawing are no longer read
_FONTS = {
    "Helvetica,sans-Serif": "Helvetica, Arial, 'Liberation Sans', sans-serif",
    "Courier,monospace": "'Courier New', 'Liberation Mono', Menlo, Consolas, monospace",
}


def finish(svg: str, headline: str, description: str) -> str:
    """The SVG element as text, ready to be a file or part of an HTML page."""
    root = ET.fromstring(svg)
    root.set("role", "img")
    root.set("aria-label", headline)
    root.set("style", "max-width:100%;height:auto;background:white")
    for group in root.iter(f"{{{_SVG}}}g"):
        _flatten_links(group)
        group.attrib.pop("id", None)  # two drawings on one page must not share ids
    for text in root.iter(f"{{{_SVG}}}text"):
        family = text.get("font-family", "")
        text.set("font-family", _FONTS.get(family, family))
        _fit(text, mono=family.startswith("Courier"))
    for tag, words in (("desc", description), ("title", headline)):
        element = ET.Element(f"{{{_SVG}}}{tag}")
        element.text = words
        root.insert(0, element)
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode") + "\n"


def _fit(text: ET.Element, *, mono: bool) -> None:
    """Text keeps the width that it was laid out with, in whatever font a machine has for it."""
    size = float(text.get("font-size", "0"))
    bold = text.get("font-weight") == "bold"
    wide = width(text.text or "", size, bold=bold, mono=mono)
    if wide:
        text.set("textLength", f"{wide:.1f}")
        text.set("lengthAdjust", "spacingAndGlyphs")


def scrolling(svg: str) -> str:
    """The SVG element for a box that scrolls: it shrinks a little for a narrow page, no further."""
    root = ET.fromstring(svg)
    width = float(root.get("viewBox", "0 0 600 0").split()[2])
    size = f"width:100%;min-width:{_SHRUNK * width:.0f}pt;max-width:{width:.0f}pt;height:auto"
    root.set("style", f"display:block;{size};background:white")
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")


def _flatten_links(group: ET.Element) -> None:
    """Tooltips come as `<a xlink:title>` around the drawing: browsers want a `<title>` inside."""
    for wrapper in list(group):
        link = wrapper.find(f"{{{_SVG}}}a")
        if link is None or not link.get(f"{{{_XLINK}}}title"):
            continue
        title = group.find(_TITLE)
        if title is None:
            title = ET.Element(_TITLE)
            group.insert(0, title)
        title.text = link.get(f"{{{_XLINK}}}title")
        at = list(group).index(wrapper)
        group.remove(wrapper)
        for offset, drawn in enumerate(list(link)):
            group.insert(at + offset, drawn)
