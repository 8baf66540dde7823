"""`make_dot` beside torchviz, row by row, and past what torchviz can draw."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import graphviz
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

import gradprobe
from gradprobe.errors import NotParameters, NotTensors
from tests import random_graphs
from tests.random_graphs import Exponential, Graph, Product, graph

GRAPHS = 200
FLAGS: list[dict[str, Any]] = [
    {},
    {"show_attrs": True},
    {"show_saved": True},
    {"show_attrs": True, "show_saved": True},
    {"show_attrs": True, "show_saved": True, "max_attr_chars": 5},
]
EDGE = re.compile(r"\t(\d+) -> (\d+)(.*)\n", re.DOTALL)
NODE = re.compile(r"\t(\d+) (\[.*\])\n", re.DOTALL)


def torchviz_dot(*args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distutils
        from torchviz import make_dot

        return make_dot(*args, **options)


def listed(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def nodes_below(outputs: tuple[Tensor, ...]) -> list[Any]:
    """All nodes of the graph: held, they keep their ids."""
    bases = [base for out in outputs if (base := out._base) is not None]
    waiting: list[Any] = [out.grad_fn for out in (*outputs, *bases)]
    found: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [following for following, _ in node.next_functions]
    return list(found)


class Drawn:
    """A Digraph taken apart.

    A saved tensor that was an op's output is made anew each time it is read. Such ones, which are
    not in `held`, are named by the order in which they appear.
    """

    def __init__(self, dot: graphviz.Digraph, held: set[str]) -> None:
        self.made: dict[str, str] = {}
        self._held = held
        self.rows = list(self._rows(dot.body))
        self.nodes = {row for row in self.rows if len(row) == 2}
        self.edges = Counter(row for row in self.rows if len(row) == 3)
        self.attributes = (dot.graph_attr, dot.node_attr, dot.edge_attr, dot.name)

    def _rows(self, body: list[str]) -> Iterator[tuple[str, ...]]:
        for line in body:
            if edge := EDGE.fullmatch(line):
                yield self._name(edge[1]), self._name(edge[2]), edge[3]
            else:
                node = NODE.fullmatch(line)
                assert node is not None
                yield self._name(node[1]), node[2]

    def _name(self, given: str) -> str:
        if given in self._held:
            return given
        return self.made.setdefault(given, f"made {len(self.made)}")


def both(made: Graph, **options: Any) -> tuple[Drawn, Drawn]:
    outputs = listed(made.outputs)
    nodes = nodes_below(outputs)
    held = {str(id(thing)) for thing in (*nodes, *outputs, *made.tensors)}
    held |= {str(id(node.variable)) for node in nodes if hasattr(node, "variable")}
    held |= {str(id(out._base)) for out in outputs if out._base is not None}
    ours = gradprobe.make_dot(made.outputs, made.params, **options)
    theirs = torchviz_dot(made.outputs, made.params, **options)
    return Drawn(ours, held), Drawn(theirs, held)


@pytest.mark.parametrize("options", FLAGS, ids=lambda o: " ".join(o) or "plain")
def test_random_graphs_are_drawn_as_torchviz_draws_them(options: dict[str, Any]) -> None:
    for seed in range(GRAPHS):
        ours, theirs = both(graph(seed), **options)
        assert ours.nodes == theirs.nodes, seed
        assert ours.edges == theirs.edges, seed
        assert ours.rows == theirs.rows, seed
        assert ours.attributes == theirs.attributes, seed


def test_the_random_graphs_hold_every_kind_of_node_and_edge() -> None:
    made = [graph(seed) for seed in range(GRAPHS)]
    assert {op for one in made for op in one.ops} == set(random_graphs.OPS)
    drawn = [both(one, show_saved=True)[0] for one in made]
    text = "\n".join(" ".join(row) for one in drawn for row in one.rows)
    for kind in (
        *("lightblue", "orange", "darkolivegreen1", "darkolivegreen3", "dir=none", "style=dotted"),
        *("AccumulateGrad", "CopySlices", "ProductBackward", "block.0", "indices[0]"),
    ):
        assert kind in text
    assert max(len(one.nodes) for one in drawn) > 60
    assert any(one.made for one in drawn)
    assert any(count > 1 for one in drawn for count in one.edges.values())
    assert {type(one.outputs) for one in made} == {Tensor, tuple}
    # A tensor drawn twice with two looks, of which the last counts.
    assert any(len(one.nodes) > len({name for name, _ in one.nodes}) for one in drawn)


def test_an_output_that_was_drawn_as_something_else_stays_that() -> None:
    leaf = torch.ones(3, requires_grad=True)
    y = leaf.exp()
    for outputs in ((y, leaf), (leaf, y), (y, y), (leaf,), (leaf[1:], leaf), (torch.ones(2), y)):
        ours, theirs = both(Graph(outputs, {"leaf": leaf}, [], [leaf]), show_saved=True)
        assert ours.rows == theirs.rows


def test_arguments_stand_in_torchviz_s_order() -> None:
    y = Product.apply(torch.ones(3, requires_grad=True), torch.ones(3))
    kept = nodes_below((y,))
    ours = gradprobe.make_dot(y, None, True, False, 4)
    assert ours.body == torchviz_dot(y, None, True, False, 4).body
    assert kept
    assert "_saved_" not in ours.source
    assert "factor:" in ours.source


def test_a_list_of_outputs_is_drawn_as_a_tuple() -> None:
    x = torch.ones(3, requires_grad=True)
    outputs = [x.sin(), x.cos()]
    assert gradprobe.make_dot(outputs).body == gradprobe.make_dot(tuple(outputs)).body
    assert gradprobe.make_dot([]).body == gradprobe.make_dot(()).body == torchviz_dot(()).body == []


@pytest.mark.parametrize("given", [None, 3, "x", {}, (torch.ones(2), None), [torch.ones(2), [1]]])
def test_what_is_no_tensor_is_refused(given: Any) -> None:
    with pytest.raises(NotTensors, match="make_dot takes a tensor, or a tuple or list") as ours:
        gradprobe.make_dot(given)
    with pytest.raises((AttributeError, TypeError)) as theirs:
        torchviz_dot(given)
    assert isinstance(ours.value, theirs.type)


@pytest.mark.parametrize("given", [{"x": 3}, {"a": torch.ones(2), "b": None}, [("x", 1)], 5])
def test_names_of_what_is_no_tensor_are_refused(given: Any) -> None:
    y = torch.ones(2, requires_grad=True).exp()
    with pytest.raises(NotParameters, match="make_dot takes a mapping from names") as ours:
        gradprobe.make_dot(y, given)
    with pytest.raises((AssertionError, AttributeError)) as theirs:
        torchviz_dot(y, given)
    assert isinstance(ours.value, theirs.type)
    with pytest.raises(NotTensors):  # torchviz looks at params first; either is told
        gradprobe.make_dot("y", {"x": torch.ones(2)})


def overwritten() -> Tensor:
    y = torch.ones(3, requires_grad=True).exp()
    z = y * y
    y.add_(1)
    return z


def freed() -> Tensor:
    y = Exponential.apply(torch.ones(3, requires_grad=True))[0].exp()
    y.sum().backward()
    return y


@pytest.mark.parametrize("root", [overwritten, freed])
def test_saved_tensors_that_cannot_be_read_are_left_out(root: Any) -> None:
    z = root()
    with pytest.raises(RuntimeError):
        torchviz_dot(z, show_saved=True)
    drawn = gradprobe.make_dot(z, show_saved=True, show_attrs=True)
    assert "no longer readable" in drawn.source
    assert not re.search(r"label=\"(self|other|result)\n \(", drawn.source)
    assert gradprobe.make_dot(z).source.count("ExpBackward0") == 1


def test_a_view_whose_history_torch_refuses_is_drawn() -> None:
    x = torch.ones(4, requires_grad=True) * 1
    with torch.no_grad():
        view = x[:2]
    x.mul_(2)
    with pytest.raises(RuntimeError):
        _ = view.grad_fn
    drawn = gradprobe.make_dot(view)
    assert drawn.source.count("style=dotted") == 1
    assert "MulBackward0" in drawn.source


def test_an_attribute_of_a_custom_function_that_looks_like_a_leaf() -> None:
    class Named(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.variable = "x"
            ctx.save_for_backward(None, x)
            return x * 1

    y = Named.apply(torch.ones(2, requires_grad=True))
    with pytest.raises(AttributeError):
        torchviz_dot(y)
    drawn = gradprobe.make_dot(y)
    assert drawn.source.count("NamedBackward") == 1
    assert drawn.source.count("orange") == 1


def test_drawing_leaves_no_mark_on_a_small_graph_and_keeps_nothing_alive() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp().sin()
    gradprobe.make_dot(y, {"x": x}, show_attrs=True, show_saved=True)
    assert all(not node.metadata for node in nodes_below((y,)))
    gone: list[bool] = []

    class Told:
        def __del__(self) -> None:
            gone.append(True)

    y.grad_fn.metadata["told"] = Told()
    del y
    assert gone == [True]


@pytest.mark.parametrize("custom", [False, True])
def test_what_is_read_lives_until_the_last_row_so_that_no_name_is_given_twice(custom: bool) -> None:
    read: list[StorageWeakRef] = []

    def unpack(saved: Tensor) -> Tensor:
        assert not any(earlier.expired() for earlier in read)
        made = saved.clone()
        read.append(StorageWeakRef(made.untyped_storage()))
        return made

    y = torch.ones(2, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.detach(), unpack):
        for _ in range(5):
            y = Product.apply(y, y) if custom else y.sin()
    gradprobe.make_dot(y, show_saved=not custom)
    assert len(read) == (10 if custom else 5)
    assert all(made.expired() for made in read)


def test_function_modes_see_nothing_of_it() -> None:
    seen: list[str] = []

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(str(func))
            return func(*args, **kwargs or {})

    x = torch.ones(3, requires_grad=True)
    y = Product.apply(x[:2], x.exp()[1:])
    view = y[0:]
    with Mode():
        gradprobe.make_dot((y, view), {"x": x}, show_attrs=True, show_saved=True)
        assert seen == []
        torchviz_dot(y)
        assert seen


# In a process of its own: what it would do when broken is to crash.
DEEP = """
import sys

import torch

import gradprobe

assert sys.getrecursionlimit() == 1000
depth = 100_000
x = torch.ones(2, requires_grad=True)
y, middle = x, None
for i in range(depth):
    y = y * 2 if i % 2 else y + 1
    if i == depth // 2:
        middle = y
dot = gradprobe.make_dot((y, middle), {"x": x}, show_attrs=True, show_saved=True)
edges = sum(" -> " in row for row in dot.body)
saved = depth // 2  # a number to multiply by is a saved tensor
assert (len(dot.body) - edges, edges) == (depth + saved + 4, depth + saved + 3)
assert len(set(dot.body)) == len(dot.body)
y.sum().backward()
assert x.grad is not None
del y
del middle
print("freed")
"""


def test_a_chain_of_100_000_nodes_is_drawn_and_can_be_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEEP], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "freed\n"), done.stderr


def test_a_wide_graph_of_100_000_nodes_is_drawn() -> None:
    x = torch.ones(2, requires_grad=True)
    width = 50_000
    wide = torch.stack([(x + 1).sin() for _ in range(width)]).sum()
    dot = gradprobe.make_dot(wide)
    edges = [row for row in dot.body if " -> " in row]
    nodes = {row.split()[0] for row in dot.body if " -> " not in row}
    assert len(nodes) == 2 * width + 5  # stack, sum, AccumulateGrad, leaf and output
    assert len(set(edges)) == len(edges) == 3 * width + 3


def test_what_torchviz_cannot_draw() -> None:
    y = torch.ones(2, requires_grad=True)
    for _ in range(2 * sys.getrecursionlimit()):
        y = y + 1
    with pytest.raises(RecursionError):
        torchviz_dot(y)
    assert len(gradprobe.make_dot(y).body) > 4 * sys.getrecursionlimit()
