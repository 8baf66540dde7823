"""A remembered way through a graph: the same nodes as a search finds, or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradprobe.capture.graph_path import GraphPath, path_to
from gradprobe.capture.graph_walk import GraphWalk
from gradprobe.capture.torch_internals import node_counter, sequence_number

Made = tuple[Tensor, list[Tensor]]


def sampled(steps: int = 4, twice: bool = False) -> Made:
    """A loss, and the states before it."""
    x = torch.ones(3, requires_grad=True) * 2.0
    states = [x]
    for _ in range(steps):
        slope = (x - x.tanh()) / 3.0
        x = x + slope * 0.5 + (slope.sin() if twice else 0.0)
        states.append(x)
    return x.square().sum(), states


def looped() -> Made:
    """States that are reached by two ways each, and a leaf used at the end."""
    z = torch.ones(3, requires_grad=True)
    a, b = z.exp(), z.sin()
    c = a * b
    return (c + a).sum() + z.sum(), [a, b, c]


def numbers(states: list[Tensor]) -> list[int]:
    return [sequence_number(state.grad_fn) for state in states]


def learned(made: Made, base: int) -> GraphPath:
    origin: dict[int, tuple[int, int]] = {}
    found = GraphWalk().find([made[0]], numbers(made[1]), [], origin)
    assert sorted(number for number, _ in found) == sorted(numbers(made[1]))
    return path_to(numbers(made[1]), origin, base)


@pytest.mark.parametrize("make", [sampled, looped])
def test_in_a_graph_built_alike_it_leads_to_the_same_nodes(make: Callable[[], Made]) -> None:
    base = node_counter()
    path = learned(make(), base)
    base = node_counter()
    loss, states = make()
    found = GraphWalk().follow([loss], path, base)
    assert found is not None
    assert dict(found) == {sequence_number(state.grad_fn): state.grad_fn for state in states}


def test_in_a_graph_built_otherwise_it_leads_nowhere() -> None:
    base = node_counter()
    path = learned(sampled(), base)
    for other in (sampled(3), sampled(5), sampled(twice=True), looped()):
        base = node_counter() - 1
        assert path.follow([other[0]], base) is None
    leaf = torch.ones(3, requires_grad=True)
    assert path.follow([leaf], 0) is None  # no node at all
    assert path.follow([], 0) is None


def test_following_counts_against_the_bound_of_all_walks() -> None:
    base = node_counter()
    made = sampled()
    path = learned(made, base)
    walk = GraphWalk(bound=len(path.steps) + 2)
    assert walk.follow([made[0]], path, base) is not None
    assert walk.left == 2
    assert walk.follow([made[0]], path, base) is None
