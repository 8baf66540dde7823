"""What is written down of optimisers, and that all of it is taken off again."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

import pytest
import torch
from torch.optim import optimizer as of_torch

import gradprobe
from gradprobe.capture.recorder import Recorder
from tests.traced import trace

LOOP = """
    import torch
    z0 = torch.randn(4, requires_grad=True)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.Adam(  # <- made
        [{"params": [z0]}, {"params": model.parameters()}], lr=0.1
    )
    for _ in range(2):
        optimizer.zero_grad()  # <- cleared
        model(z0).pow(2).mean().backward()
        torch.nn.utils.clip_grad_norm_([z0], 1.0)
        optimizer.step()  # <- step
"""


def test_one_event_for_a_step_and_one_for_zero_grad(tmp_path: Path) -> None:
    run = trace(tmp_path, LOOP)
    (optimizer,) = run.trace.optimizers
    assert (optimizer.name, optimizer.count) == ("Adam", 3)
    assert run.is_at(optimizer.at, "made")
    assert optimizer.held == run.trace.leaves[0].values[:1]
    uses = run.trace.uses
    assert [use.what for use in uses] == ["cleared", "step"] * 2
    assert all(run.is_at(use.at, use.what) for use in uses)
    steps = [use for use in uses if use.what == "step"]
    at = run.trace.values.at
    for step, before in zip(steps, run.trace.leaves[0].values, strict=False):
        assert step.values == (before,)
        assert (step.bare, step.any) == ((), True)
        assert step.at_op < step.until_op
    written = [at[value] for value in run.trace.leaves[0].values[1:]]
    assert all(step.at_op <= op < step.until_op for step, op in zip(steps, written, strict=True))


def test_backward_and_what_follows_it_at_once_keep_their_order(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.0)
        a, b = z0.sum(), z0.sum()
        optimizer.zero_grad()
        a.backward()
        optimizer.zero_grad()
        b.backward()
        z0.grad = None
        """,
    )
    places = [(use.at_op, use.after) for use in run.trace.uses]
    start = run.trace.passes[0].at_op
    assert [p.at_op for p in run.trace.passes] == [start, start]
    assert places == [(start, 0), (start, 1), (start, 2)]


def test_a_pass_inside_a_closure_lies_inside_the_step(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.LBFGS([z0], max_iter=2)
        def closure():
            optimizer.zero_grad()
            loss = z0.pow(2).sum()
            loss.backward()
            return loss
        optimizer.step(closure)
        """,
    )
    (step,) = [use for use in run.trace.uses if use.what == "step"]
    assert step.bare == step.values
    assert len(run.trace.passes) == 2
    assert all(step.at_op < p.at_op <= step.until_op for p in run.trace.passes)


def test_gradients_used_by_hand(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        z0.sum().backward()
        z0.grad
        z0.grad = z0.grad * 2
        del z0.grad
        z0.grad
        """,
    )
    assert [use.what for use in run.trace.uses] == ["read", "read", "assigned", "cleared"]
    assert {use.optimizer for use in run.trace.uses} == {-1}


def test_zeros_of_zero_grad_are_no_frozen_leaves(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        z0.sum().backward()
        optimizer.zero_grad(set_to_none=False)
        """,
    )
    assert [leaf.name for leaf in run.trace.leaves] == ["z0"]


def test_a_step_that_raises_is_over_where_it_began(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        class Fails(torch.optim.SGD):
            def step(self, closure=None):
                raise ValueError
        z0 = torch.randn(4, requires_grad=True)
        broken, optimizer = Fails([z0], lr=0.1), torch.optim.SGD([z0], lr=0.1)
        for _ in range(2):
            z0.sum().backward()
            try:
                broken.step()
            except ValueError:
                optimizer.step()
        """,
    )
    spans = [(use.optimizer, use.until_op - use.at_op) for use in run.trace.uses]
    assert [number for number, _ in spans] == [0, 1, 0, 1]
    assert all((length == 0) == (number == 0) for number, length in spans)


def test_an_optimizer_made_before_the_probe_is_known_from_its_first_step() -> None:
    stale = torch.randn(4, requires_grad=True)
    optimizer = torch.optim.SGD([stale], lr=0.1)
    with gradprobe.Probe() as probe:
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(2):
            optimizer.zero_grad()
            z0.pow(2).sum().backward()
            optimizer.step()
    first = probe.report().findings[0]
    assert first.code == "GP401"
    assert first.at.source.strip() == "optimizer.step()"


def test_everything_is_put_back() -> None:
    before = dict(vars(torch.optim.Optimizer))
    recorder = Recorder()
    recorder.start()
    try:
        assert vars(torch.optim.Optimizer)["__init__"] is not before["__init__"]
    finally:
        recorder.stop()
    assert dict(vars(torch.optim.Optimizer)) == before
    assert not of_torch._global_optimizer_pre_hooks
    assert not of_torch._global_optimizer_post_hooks


def test_an_optimizer_dies_when_the_program_lets_it_go() -> None:
    recorder = Recorder()
    recorder.start()
    try:
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        z0.sum().backward()
        optimizer.step()
        dead = weakref.ref(optimizer), weakref.ref(z0)
        del optimizer, z0
        assert [one() for one in dead] == [None, None]
    finally:
        recorder.stop()


def test_a_step_in_another_thread_is_said_not_to_be_seen() -> None:
    z0 = torch.randn(4, requires_grad=True)
    optimizer = torch.optim.SGD([z0], lr=0.1)
    recorder = Recorder()
    recorder.start()
    try:
        z0.sum().backward()
        thread = threading.Thread(target=optimizer.step)
        thread.start()
        thread.join()
    finally:
        recorder.stop()
    assert recorder.optimizers.uses == []
    assert any("another thread" in sentence for sentence in recorder.unseen)


def test_a_refused_tensor_raises_as_it_does_without_a_probe() -> None:
    z0 = torch.randn(4, requires_grad=True)
    with gradprobe.Probe(), pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD([z0 * 2], lr=0.1)
