"""Names that are looked up late: `name -> "module:attribute"`, imported only when asked for.

A package of a third party adds to a registry through an entry point of the registry's group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from gradprobe.errors import UnknownFormat


class Registry(Mapping[str, str]):
    """Where each name's object lives. Iterating imports nothing; `load` imports one module."""

    def __init__(self, group: str, built_in: Mapping[str, str]) -> None:
        self.group = group
        self._built_in = dict(built_in)
        self._all: dict[str, str] | None = None

    def _places(self) -> dict[str, str]:
        if self._all is None:
            found = {point.name: point.value for point in entry_points(group=self.group)}
            self._all = {**found, **self._built_in}
        return self._all

    def __getitem__(self, name: str) -> str:
        return self._places()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places())

    def __len__(self) -> int:
        return len(self._places())

    def load(self, name: str) -> Any:
        """The object registered as `name`. Raises `UnknownFormat` if there is none."""
        try:
            place = self[name]
        except KeyError:
            raise UnknownFormat(name, sorted(self)) from None
        module, _, attribute = place.partition(":")
        return getattr(import_module(module), attribute)


renderers = Registry(
    "gradprobe.renderers",
    {
        "text": "gradprobe.render.text:Text",
        "json": "gradprobe.render.json:Json",
        "dot": "gradprobe.render.dot:Dot",
        "svg": "gradprobe.render.svg:Svg",
        "png": "gradprobe.render.png:Png",
        "html": "gradprobe.render.html.report:Html",
        "csv": "gradprobe.render.csv:Csv",
        "txt": "gradprobe.render.text:Text",
        "sarif": "gradprobe.render.machine.sarif:Sarif",
        "github": "gradprobe.render.machine.annotations:Github",
        "gcc": "gradprobe.render.machine.annotations:Gcc",
        "junit": "gradprobe.render.machine.junit:Junit",
        "notebook": "gradprobe.render.notebook:Notebook",
        "md": "gradprobe.render.machine.markdown:Markdown",
        "perfetto": "gradprobe.render.machine.perfetto:Perfetto",
        "model_explorer": "gradprobe.render.machine.model_explorer:ModelExplorer",
        "node_data": "gradprobe.render.machine.node_data:NodeData",
    },
)

# How `gradprobe diff` shows two runs.
comparisons = Registry(
    "gradprobe.comparisons",
    {
        "text": "gradprobe.render.comparison.text:ComparisonText",
        "txt": "gradprobe.render.comparison.text:ComparisonText",
        "json": "gradprobe.render.comparison.json:ComparisonJson",
        "svg": "gradprobe.render.comparison.svg:ComparisonSvg",
        "html": "gradprobe.render.comparison.html:ComparisonHtml",
    },
)

# Formats whose files have the suffix of what they are written in: `results.junit.xml`.
_WITHIN = {"junit": "xml", "perfetto": "json", "model_explorer": "json", "node_data": "json"}


def format_of(name: str) -> str:
    """The format that a file's name asks for: its suffix, or `junit` of `run.junit.xml`.

    What no format goes by is returned as it is: looking it up says which there are.
    """
    parts = name.replace("\\", "/").rpartition("/")[2].split(".")
    for format, suffix in _WITHIN.items():
        if parts[-2:] == [format, suffix]:
            return format
    return parts[-1] if len(parts) > 1 else ""
