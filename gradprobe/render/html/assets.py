"""The scripts and style sheets that ship with the package, ready to stand in a page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from gradprobe.render.html.palette import palette

# In the order in which they build on each other: one scope holds them all.
SCRIPTS = (
    "dom.js",
    "data.js",
    "theme.js",
    "drawer.js",
    "viewport.js",
    "picture.js",
    "search.js",
    "steps.js",
    "charts.js",
    "table.js",
    "main.js",
)
STYLES = (
    "base.css",
    "frame.css",
    "lead.css",
    "picture.css",
    "steps.css",
    "charts.css",
    "table.css",
    "diff.css",
)


@cache
def script() -> str:
    """Our own script. It is strict, and leaves no name behind."""
    parts = "\n".join(_read("static", name) for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


@cache
def chart_library() -> str:
    """uPlot as its makers built it, with the licence that goes where it goes."""
    licence = _read("uplot", "LICENSE").replace("*/", "* /").strip()
    return f"/*!\n{licence}\n*/\n{_read('uplot', 'uPlot.iife.min.js').strip()}\n"


@cache
def style() -> str:
    """All style sheets as one."""
    parts = [_read("uplot", "uPlot.min.css").strip() + "\n", palette()]
    return "\n".join([*parts, *(_read("static", name) for name in STYLES)])


def digest(text: str) -> str:
    """What a Content-Security-Policy knows an inline script or style by."""
    found = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(found).decode('ascii')}'"


def _read(folder: str, name: str) -> str:
    return files(__package__).joinpath(folder, name).read_text(encoding="utf-8")
