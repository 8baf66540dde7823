"""Rows of an autograd graph as a Digraph: looks, tables of attributes, and any text in labels."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import graphviz
import pytest

from gradprobe.records.drawing import DrawnEdge, DrawnKind, DrawnLink, DrawnNode
from gradprobe.render.digraph import digraph
from gradprobe.render.layout import lay_out
from gradprobe.render.plain import visible
from tests.render.hostile import SNIPPETS


def texts(svg: str) -> list[str]:
    found = (one.text for one in ET.fromstring(svg).iter() if one.tag.endswith("}text"))
    return [text for text in found if text]


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_label_shows_the_name_as_it_is(name: str) -> None:
    drawn = digraph([DrawnNode("1", "leaf", name, (3,)), DrawnEdge("1", "2")], 50)
    svg = lay_out(drawn.source, "pure")
    assert svg.count('class="node"') == 2
    shown = "".join(texts(svg)).removeprefix("12").removesuffix("2")
    lines = [visible(line) for line in name.split("\n")]
    assert "".join(shown.split()) == "".join("".join([*lines, "(3)"]).split())


@pytest.mark.parametrize("name", ["x", "block.0.weight", "a b", 'q"uote', "<i>", "\u03b8", ""])
def test_an_ordinary_name_is_written_as_torchviz_writes_it(name: str) -> None:
    theirs = graphviz.Digraph()
    theirs.node("1", f"{name}\n (3)", fillcolor="lightblue")
    assert digraph([DrawnNode("1", "leaf", name, (3,))], 50).body == theirs.body


def test_sizes_and_titles() -> None:
    rows = [
        DrawnNode("1", "leaf", "weight", (3, 4)),
        DrawnNode("2", "output", "", ()),
        DrawnNode("3", "node", "MulBackward0"),
    ]
    assert digraph(rows, 50).body == [
        '\t1 [label="weight\n (3, 4)" fillcolor=lightblue]\n',
        '\t2 [label="\n ()" fillcolor=darkolivegreen1]\n',
        "\t3 [label=MulBackward0]\n",
    ]


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        ("node", ""),
        ("leaf", " fillcolor=lightblue"),
        ("saved", " fillcolor=orange"),
        ("output", " fillcolor=darkolivegreen1"),
        ("base", " fillcolor=darkolivegreen3"),
    ],
)
def test_kinds_of_nodes(kind: DrawnKind, look: str) -> None:
    assert digraph([DrawnNode("1", kind, "a")], 50).body == [f"\t1 [label=a{look}]\n"]


@pytest.mark.parametrize(
    ("kind", "look"), [("gradient", ""), ("saved", " [dir=none]"), ("view", " [style=dotted]")]
)
def test_kinds_of_edges(kind: DrawnLink, look: str) -> None:
    assert digraph([DrawnEdge("1", "2", kind)], 50).body == [f"\t1 -> 2{look}\n"]


@pytest.mark.parametrize(
    ("width", "table"),
    [
        (50, "X\n---------------\ndims: (1, 2, 3)\nname:      None"),
        (7, "X\n-------------\ndims: (1, ...\nname:    None"),
        (3, "X\n---------\ndims: ...\nname: ..."),
        (-1, "X\n---------\ndims: ...\nname: ..."),
    ],
)
def test_attributes_are_a_table(width: int, table: str) -> None:
    node = DrawnNode("1", "node", "X", None, (("dims", "(1, 2, 3)"), ("name", "None")))
    assert digraph([node], width).body == [f'\t1 [label="{table}"]\n']


def test_the_rule_of_a_table_is_as_wide_as_its_title() -> None:
    node = DrawnNode("1", "node", "AddmmBackward0", None, (("a", "1"), ("long", "2")))
    [row] = digraph([node], 50).body
    assert row == f'\t1 [label="AddmmBackward0\n{"-" * 14}\na   : 1\nlong: 2"]\n'


def test_the_drawing_grows_with_its_rows() -> None:
    assert digraph([], 50).graph_attr == {"size": "12,12"}
    rows = [DrawnEdge("1", "2")] * 100
    assert digraph([*rows], 50).graph_attr == {"size": "15.0,15.0"}
