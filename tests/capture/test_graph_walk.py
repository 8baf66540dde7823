"""Counting the autograd graph: exact below a bound, and None rather than a guess past it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gradprobe
from gradprobe.capture.graph_walk import BOUND, GraphWalk, raw_graph


def chain(length: int) -> Tensor:
    x = torch.ones(2, requires_grad=True)
    for _ in range(length):
        x = x + 1
    return x


def plainly(root: Tensor) -> tuple[int, int]:
    """Nodes and edges, by identity."""
    nodes: set[Any] = set()
    edges = 0
    waiting = [root.grad_fn]
    while waiting:
        node = waiting.pop()
        if node not in nodes:
            nodes.add(node)
            following = [n for n, _ in node.next_functions if n is not None]
            edges += len(following)
            waiting += following
    return len(nodes), edges


def roots() -> dict[str, Tensor]:
    a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU(), torch.nn.Linear(4, 3))
    shared = a.exp()
    x = a
    for _ in range(5):
        x = x + model(x)
    return {
        "one op": a.sum(),
        "two leaves": (a * b).sum(),
        "one leaf twice": a * a,
        "a diamond": shared.sin() + shared.cos(),
        "several outputs": sum(shared.unbind()),
        "a model in a loop": x.sum(),
        "a chain": chain(500),
    }


@pytest.mark.parametrize("name", roots())
def test_nodes_and_edges_are_counted(name: str) -> None:
    root = roots()[name]
    assert GraphWalk().count([root]) == plainly(root)


def test_several_roots_share_their_nodes() -> None:
    x = torch.ones(3, requires_grad=True).exp()
    nodes, _ = GraphWalk().count([x.sin(), x.cos()])
    assert nodes == 4  # sin, cos, exp, AccumulateGrad


def test_a_root_without_a_graph_has_no_nodes() -> None:
    assert GraphWalk().count([torch.ones(3)]) == (0, 0)
    assert GraphWalk().count([]) == (0, 0)


def test_past_the_bound_nothing_is_guessed() -> None:
    walk = GraphWalk(bound=100)
    assert walk.count([chain(200)]) == (None, None)
    assert walk.cut_off
    assert walk.count([chain(3)]) == (None, None)  # the bound is one run's, not one walk's


def test_all_walks_of_a_run_share_the_bound() -> None:
    walk = GraphWalk(bound=100)
    counts = [walk.count([chain(30)])[0] for _ in range(5)]
    assert counts == [31, 31, 31, None, None]


def test_a_large_run_says_that_nodes_were_not_counted() -> None:
    with gradprobe.Probe() as probe:
        chain(BOUND + 10).sum().backward()
    report = probe.report()
    assert report.counts.nodes is None
    assert [said for said in report.unseen if f"more than {BOUND:,} nodes" in said]
    assert report.verdict == "flows"


def test_the_raw_graph_is_drawn_only_as_far_as_it_can_be() -> None:
    root = chain(5)
    drawn = raw_graph(root, 6)
    assert drawn is not None
    assert drawn.count("AddBackward0") == 5
    assert raw_graph(root, None) is None
    assert raw_graph(root, 10**6) is None
