"""The numbers of nodes against hooks that the program puts on its tensors itself."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import gradprobe
from gradprobe.capture import torch_internals
from gradprobe.capture.build import build
from gradprobe.capture.node_watch import NodeWatch
from gradprobe.capture.witnesses import largest, magnitude
from gradprobe.records.backward import Pass
from gradprobe.records.numerics import NodeRun, leaf_target
from tests.traced import trace


def run_of(passed: Pass) -> list[NodeRun]:
    """The nodes in the order in which they ran."""
    assert passed.numbers is not None
    ran = [node for node in passed.numbers.nodes if node.order >= 0]
    return sorted(ran, key=lambda node: node.order)


SAMPLER = """
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 5))
z0 = torch.randn(2, 5, requires_grad=True)
seen = []
x = z0 * 80.0
for sigma in (80.0, 20.0, 5.0, 1.0):
    d = (x - model(x)) / sigma
    d.register_hook(lambda grad: seen.append(float(grad.abs().max())))
    x = x - d * 0.5 * sigma
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""


def test_what_came_to_a_node_is_what_a_hook_on_its_tensor_sees(tmp_path: Path) -> None:
    run = trace(tmp_path, SAMPLER, numerics="nodes")
    line = 1 + run.text.splitlines().index("    d = (x - model(x)) / sigma")
    divisions = [
        node
        for node in run_of(run.trace.passes[0])
        if node.name == "DivBackward0" and getattr(run.trace.frame_of(node.op), "line", 0) == line
    ]
    assert [node.came for node in divisions] == run.names["seen"]
    assert len(divisions) == 4


def test_the_leaf_is_a_target_and_gets_what_its_gradient_says(tmp_path: Path) -> None:
    run = trace(tmp_path, SAMPLER, numerics="nodes")
    (leaf,) = [mark for mark in run.trace.leaves if mark.name == "z0"]
    last = run_of(run.trace.passes[0])[-1]
    assert leaf_target(leaf.values[0]) in last.targets
    position = last.targets.index(leaf_target(leaf.values[0]))
    assert last.went[position] == pytest.approx(float(run.names["z0"].grad.abs().max()))


def test_every_node_below_the_root_ran_and_none_twice(tmp_path: Path) -> None:
    run = trace(tmp_path, SAMPLER, numerics="nodes")
    passed = run.trace.passes[0]
    assert passed.numbers is not None
    assert passed.numbers.complete
    orders = [node.order for node in passed.numbers.nodes]
    assert sorted(orders) == list(range(len(orders)))
    # GraphWalk counts leaves' own nodes too.
    named = {t for node in passed.numbers.nodes for t in node.targets if t < -1}
    assert len(orders) + len(named) == passed.nodes


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, -3.5, 6e4, math.inf, -math.inf, math.nan]), max_size=6),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_a_magnitude_is_the_largest_and_nan_wins(numbers: list[float], dtype: torch.dtype) -> None:
    grad = torch.tensor(numbers, dtype=dtype)
    found = magnitude(grad)
    sizes = [abs(n) for n in grad.tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_internals, "at_hand", lambda tensor: False)
        held = magnitude(grad)
    if isinstance(held, Tensor):  # its two ends, still where the gradient is
        held = largest(*held.tolist())
    if any(map(math.isnan, sizes)):
        assert isinstance(found, float)
        assert isinstance(held, float)
        assert math.isnan(found)
        assert math.isnan(held)
    else:
        assert found == held == max(sizes, default=0.0)


def test_a_sparse_gradient_and_a_complex_one() -> None:
    rows = torch.tensor([[1]])
    sparse = torch.sparse_coo_tensor(rows, torch.tensor([-4.0]), (3,), check_invariants=True)
    assert magnitude(sparse) == 4.0
    assert magnitude(torch.tensor([1 + 0j, 0 - 3j])) == 3.0
    assert magnitude(torch.empty(2, device="meta")) is None


def test_past_the_bound_the_rest_is_not_measured_and_said() -> None:
    with gradprobe.Probe(numerics="nodes") as probe:
        nodes = probe._recorder.passes.nodes
        assert isinstance(nodes, NodeWatch)
        nodes.bound = 10
        z0 = torch.ones(3, requires_grad=True)
        x = z0
        for _ in range(40):
            x = x * 2
        x.sum().backward()
    numbers = build(probe._recorder).passes[0].numbers
    assert numbers is not None
    assert (len(numbers.nodes), numbers.complete) == (10, False)
    assert any("were not measured" in sentence for sentence in probe.report().unseen)


def test_of_many_passes_the_first_the_first_bad_and_the_last_are_kept() -> None:
    with gradprobe.Probe(numerics="nodes") as probe:
        z0 = torch.ones(3, requires_grad=True)
        for turn in range(8):
            (z0 * (0.0 if turn in (4, 5) else 1.0)).sum().backward()
            z0.grad = None
    passes = build(probe._recorder).passes
    assert [p.index for p in passes if p.numbers is not None] == [0, 4, 7]


READERS = ("item", "tolist", "numpy", "cpu", "__float__", "__bool__", "__int__")


def reads_of(steps: int, numerics: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a number is read off a tensor while a sampler of so many steps is traced.

    No tensor counts as being at hand, as if all were on another device.
    """
    reads: list[str] = []

    def counted(name: str) -> Any:
        original = getattr(torch.Tensor, name)

        def read(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            reads.append(name)
            return original(self, *args, **kwargs)

        return read

    model = torch.nn.Linear(4, 4)
    with monkeypatch.context() as patch:
        patch.setattr(torch_internals, "at_hand", lambda tensor: False)
        for name in READERS:
            patch.setattr(torch.Tensor, name, counted(name))
        with gradprobe.Probe(numerics=numerics) as probe:
            z0 = torch.randn(2, 4, requires_grad=True)
            x = gradprobe.tap("start_state", z0 * 80.0)
            for step in range(steps):
                x = gradprobe.tap("denoised_output", x - model(x), step=step)
            x.pow(2).mean().backward()
        assert len(probe.records) > steps
    return len(reads)


@pytest.mark.parametrize("numerics", ["stages", "nodes"])
def test_no_hook_waits_for_a_device(numerics: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    few = reads_of(2, numerics, monkeypatch)
    assert few > 0  # the copies to the host, after the pass
    assert reads_of(12, numerics, monkeypatch) == few


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("numerics", ["stages", "nodes"])
def test_on_a_gpu_no_hook_synchronises(numerics: Any) -> None:
    model = torch.nn.Linear(4, 4, device="cuda")
    with gradprobe.Probe(numerics=numerics):
        z0 = torch.randn(2, 4, device="cuda", requires_grad=True)
        loss = model(z0 * 80.0).pow(2).mean()
        seen: list[bool] = []

        def strict(grad: Tensor) -> None:
            torch.cuda.set_sync_debug_mode("error")
            seen.append(True)

        loss.register_hook(strict)
        z0.register_hook(lambda grad: torch.cuda.set_sync_debug_mode("default"))
        with warnings.catch_warnings():  # torch says of this mode that it is a prototype
            warnings.simplefilter("ignore")
            try:
                loss.backward()
            finally:
                torch.cuda.set_sync_debug_mode("default")
    assert seen
