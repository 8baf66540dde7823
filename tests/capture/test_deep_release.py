"""A deep graph whose nodes were all wrapped is freed without a deep stack, and at once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.deep_release import FEW, free_one_by_one


def chain(length: int) -> tuple[Tensor, list[Any]]:
    """A tensor, and its nodes from the leaf on."""
    x = torch.ones(2, requires_grad=True)
    nodes = []
    for _ in range(length):
        x = x + 1
        nodes.append(x.grad_fn)
    return x, nodes


class Told:
    """In the metadata of a node, to tell when it was freed."""

    def __init__(self, gone: list[int], number: int) -> None:
        self.gone, self.number = gone, number

    def __del__(self) -> None:
        self.gone.append(self.number)


# In a process of its own: without `free_one_by_one` it crashes.
PROGRAM = """
import torch
from gradprobe.capture.deep_release import free_one_by_one


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x + 1

    @staticmethod
    def backward(ctx, grad):
        return grad


def wrapped(root):
    seen, waiting = {}, [root.grad_fn]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen[node] = None
            waiting += [other for other, _ in node.next_functions if other is not None]
    return list(seen)


def deep(op):
    y, middle = torch.ones(2, requires_grad=True), None
    for i in range(100_000):
        y = op(y)
        if i == 50_000:
            middle = y
    return y, middle


"""
ENDS = """
y, middle = deep(lambda y: y + 1)
free_one_by_one(wrapped(y))
del y
print("the root first")
del middle

y, middle = deep(lambda y: y + 1)
free_one_by_one(wrapped(y))
del middle
y = y + 1
free_one_by_one(wrapped(y))
del y
print("looked at twice")

y, _ = deep(lambda y: y * 0.5 + y)
free_one_by_one(wrapped(y))
y.sum().backward()
del y
print("two ways at each node, after a backward")

turns = iter(range(100_000))
y, _ = deep(lambda y: y + 1 if next(turns) % 3 else Own.apply(y))
free_one_by_one(wrapped(y))
del y, _
print("custom functions")

y, middle = deep(lambda y: y + 1)
free_one_by_one(wrapped(y))
print("at the end of Python")
"""
CRASH = """
y, middle = deep(lambda y: y + 1)
wrapped(y)
del y, middle
"""


def ended(program: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_deep_graph_is_freed() -> None:
    assert ended(ENDS) == (
        0,
        [
            "the root first",
            "looked at twice",
            "two ways at each node, after a backward",
            "custom functions",
            "at the end of Python",
        ],
    )


def test_without_it_a_deep_graph_crashes() -> None:
    """When torch no longer does, the module can go."""
    code, _ = ended(CRASH)
    assert code < 0


def test_every_node_is_freed_when_the_last_tensor_dies_and_from_the_root_on() -> None:
    y, nodes = chain(2 * FEW)
    gone: list[int] = []
    for number, node in enumerate(nodes):
        node.metadata["told"] = Told(gone, number)
    middle = nodes[FEW]
    free_one_by_one(nodes)
    del node, nodes
    assert gone == []
    del y
    assert gone == list(range(2 * FEW - 1, FEW, -1))
    del middle
    assert gone == list(range(2 * FEW - 1, -1, -1))


def test_gradients_are_those_of_a_graph_that_was_not_looked_at() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x
    nodes = []
    for _ in range(2 * FEW):
        y = y * 1.0001
        nodes.append(y.grad_fn)
    [plain] = torch.autograd.grad(y.sum(), x, retain_graph=True)
    free_one_by_one(nodes)
    [looked_at] = torch.autograd.grad(y.sum(), x)
    assert torch.equal(plain, looked_at)


def test_of_few_nodes_none_is_marked() -> None:
    _, nodes = chain(FEW)
    free_one_by_one(nodes)
    assert all(not node.metadata for node in nodes)


def test_nodes_are_marked_once_and_keep_what_else_they_have() -> None:
    _, nodes = chain(FEW + 1)
    nodes[5].metadata["mine"] = 1
    free_one_by_one(nodes)
    marked = [dict(node.metadata) for node in nodes]
    assert set(marked[5]) == {"mine", "gradprobe"}
    free_one_by_one(nodes)
    assert [dict(node.metadata) for node in nodes] == marked
