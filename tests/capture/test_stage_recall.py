"""Stages of a turn that runs as an earlier one did are found without reading the trace again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gradprobe import Probe
from gradprobe.capture.stage_recall import Places, Recall
from gradprobe.records.report import Report

TURNS = 30


def optimised(probe: Probe, steps: Any = lambda turn: 2) -> Report:
    """A loop over a sampler of so many steps, its state noised in each turn anew."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).requires_grad_(False)
    z0 = torch.randn(2, 4, requires_grad=True)
    optimizer = torch.optim.Adam([z0], lr=0.01)
    with probe:
        for turn in range(TURNS):
            x = z0 * 2.0
            for _ in range(steps(turn)):
                x = x + net(x) * 0.5
            optimizer.zero_grad()
            x.square().mean().backward()
            optimizer.step()
    return probe.report()


def searches(probe: Probe) -> list[int]:
    """Counts, once the probe has run, how often the whole trace was read."""
    search: Any = probe._recorder.passes.search
    read: list[int] = []
    original = search._searched

    def counted() -> Any:
        read.append(len(read))
        return original()

    search._searched = counted
    return read


@pytest.mark.parametrize("watch", [False, True])
def test_the_trace_is_read_in_the_first_turns_only(watch: bool) -> None:
    probe = Probe(watch=watch, leaves=["z0"])
    read = searches(probe)
    optimised(probe)
    assert 1 <= len(read) < 8


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("steps", [lambda turn: 2, lambda turn: 2 + turn % 3])
def test_what_is_recalled_is_what_would_be_found(
    watch: bool, steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalled = optimised(Probe(watch=watch, leaves=["z0"]), steps)
    monkeypatch.setattr(Recall, "places", lambda self, key: None)
    found = optimised(Probe(watch=watch, leaves=["z0"]), steps)
    assert recalled.stages == found.stages
    assert {s.name for s in recalled.stages} >= {"start_state", "step_input", "denoised_output"}
    assert [s.name for s in recalled.stages if s.grad is None] == ["x.square().mean()"]  # the root


def test_a_gradient_in_each_step_asks_for_no_stage_of_another_turn() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 4).requires_grad_(False)
    probe = Probe(leaves=["z0"])
    with probe:
        z0 = torch.randn(2, 4, requires_grad=True)
        x = z0 * 1.0
        for _ in range(12):
            denoised = net(x)
            (slope,) = torch.autograd.grad(denoised.square().sum(), x, retain_graph=True)
            x = x + 0.1 * (denoised - x) - 0.01 * slope
        x.square().sum().backward()
    report = probe.report()
    assert report.verdict in ("flows", "partial")
    assert not any("not looked for" in sentence for sentence in report.unseen)


def test_no_more_than_a_few_ways_are_remembered() -> None:
    probe = Probe(leaves=["z0"])
    optimised(probe, lambda turn: 1 + turn)
    search: Any = probe._recorder.passes.search
    assert len(search.recall._known) <= 16


def test_the_size_of_a_graph_that_grows_from_turn_to_turn_is_counted_anew() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 4).requires_grad_(False)
    probe = Probe(leaves=["z0"])
    with probe:
        z0 = torch.randn(2, 4, requires_grad=True)
        scale = torch.ones(1, requires_grad=True)
        penalty = torch.zeros(1)
        for _ in range(12):
            x = z0 * 2.0
            for _ in range(2):
                x = x + 0.1 * net(x)
            penalty = penalty + scale  # a graph that each turn makes longer, and no stage's
            z0.grad = None
            (x.square().mean() + penalty.sum()).backward(retain_graph=True)
        nodes = [seen.nodes for seen in probe._recorder.passes.passes]
    assert nodes == sorted(set(nodes))


def test_the_size_of_a_graph_is_that_which_would_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sizes() -> list[tuple[int | None, int | None]]:
        found: list[tuple[int | None, int | None]] = []
        probe = Probe(watch=True, leaves=["z0"])
        passes = probe._recorder.passes
        passes.told = lambda: found.append((passes.passes[-1].nodes, passes.passes[-1].edges))
        optimised(probe, lambda turn: 2 + turn % 3)
        return found

    recalled = sizes()
    monkeypatch.setattr(Places, "size", property(lambda self: None, lambda self, size: None))
    assert recalled == sizes()
    assert len(set(recalled)) == 3
