"""An autograd graph node by node, as a `graphviz.Digraph` that looks as torchviz's does."""

from __future__ import annotations

import graphviz

from gradprobe.records.drawing import Drawing, DrawnKind, DrawnLink, DrawnNode
from gradprobe.render.plain import visible

# Every look as attributes of DOT; a node without one has graphviz's grey.
_FILLS: dict[DrawnKind, dict[str, str]] = {
    "node": {},
    "leaf": {"fillcolor": "lightblue"},
    "saved": {"fillcolor": "orange"},
    "output": {"fillcolor": "darkolivegreen1"},
    "base": {"fillcolor": "darkolivegreen3"},
}
_LINES: dict[DrawnLink, dict[str, str]] = {
    "gradient": {},
    "saved": {"dir": "none"},
    "view": {"style": "dotted"},
}
_NODES = {
    "style": "filled",
    "shape": "box",
    "align": "left",
    "fontsize": "10",
    "ranksep": "0.1",
    "height": "0.2",
    "fontname": "monospace",
}
_LEAST_INCHES = 12
_INCHES_A_ROW = 0.15
_LEAST_WIDTH = 3


def digraph(drawing: Drawing, max_attr_chars: int) -> graphviz.Digraph:
    """The graph of `drawing`; a value of a node's attributes takes at most so many characters."""
    inches = max(_LEAST_INCHES, len(drawing) * _INCHES_A_ROW)
    graph = graphviz.Digraph(graph_attr={"size": f"{inches},{inches}"}, node_attr=_NODES)
    width = max(max_attr_chars, _LEAST_WIDTH)
    for row in drawing:
        if isinstance(row, DrawnNode):
            graph.node(row.name, _escaped(_label(row, width)), **_FILLS[row.kind])
        else:
            graph.edge(row.tail, row.head, **_LINES[row.kind])
    return graph


def _label(node: DrawnNode, width: int) -> str:
    if node.size is not None:
        return f"{node.title}\n ({', '.join(map(str, node.size))})"
    if not node.attributes:
        return node.title
    names = max(len(name) for name, _ in node.attributes)
    values = min(max(len(value) for _, value in node.attributes), width)
    rule = "-" * max(names + values + 2, len(node.title))
    lines = [f"{name:<{names}}: {_cut(value, values):>{values}}" for name, value in node.attributes]
    return "\n".join([node.title, rule, *lines])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _escaped(text: str) -> str:
    """A label that shows `text` as it is: DOT would expand backslashes and entities in it."""
    lines = "\n".join(map(visible, text.split("\n")))
    escaped: str = graphviz.escape(lines.replace("&", "&amp;"))
    return escaped
