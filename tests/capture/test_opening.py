"""A watched loop: closed modules are opened where an iteration shows something new."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gradprobe import Probe
from gradprobe.capture.opening import Opening


class Net(nn.Module):
    """Cuts its gradient from a call on, or in one call alone."""

    def __init__(self, cut: range) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4).requires_grad_(False)
        self.cut, self.calls = cut, 0

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.inner(x)
        if self.calls in self.cut:
            hidden = hidden.detach()  # <- GP101
        self.calls += 1
        return hidden.tanh() * 0.9


def optimised(net: Net, probe: Probe | None, iterations: int) -> tuple[Tensor, list[int]]:
    """The leaf after so many iterations of two calls, and the probe's bytes after each."""
    torch.manual_seed(0)
    z0 = torch.randn(2, 4, requires_grad=True)
    optimizer = torch.optim.Adam([z0], lr=0.01)
    sizes: list[int] = []
    for _ in range(iterations):
        x = z0 * 2.0
        for _ in range(2):
            x = x + net(x) * 0.5
        optimizer.zero_grad()
        x.square().mean().backward()
        optimizer.step()
        if probe is not None:
            sizes.append(probe._recorder.record_bytes)
    return z0.detach(), sizes


def line() -> int:
    with open(__file__, encoding="utf-8") as file:
        return next(n for n, text in enumerate(file, 1) if text.rstrip().endswith("# <- GP101"))


def test_the_line_inside_the_network_is_named_with_the_iteration() -> None:
    with Probe(watch=True, leaves=["z0"]) as probe:
        optimised(Net(range(640, 10_000)), probe, 500)
    report = probe.report()
    first = report.findings[0]
    assert (first.code, first.certainty, first.at.file, first.at.line) == (
        "GP101",
        "proven",
        __file__,
        line(),
    )
    assert "at iteration 321 of 500" in report.headline
    assert any("(watch)" in sentence for sentence in report.unseen)


def test_what_lasts_for_one_iteration_is_seen_and_not_looked_into() -> None:
    with Probe(watch=True, leaves=["z0"]) as probe:
        optimised(Net(range(40, 42)), probe, 40)
    report = probe.report()
    assert report.verdict == "partial"
    assert "at iteration 21 of 40" in report.headline
    assert {f.certainty for f in report.findings if f.severity != "note"} == {"suspected"}


def test_of_most_iterations_the_inside_of_the_network_is_not_recorded() -> None:
    ops = {}
    for watch in (True, False):
        with Probe(watch=watch, leaves=["z0"]) as probe:
            optimised(Net(range(0)), probe, 40)
        assert probe.report().verdict == "flows"
        ops[watch] = probe.report().counts.ops
    assert ops[False] - ops[True] > 3 * 40, ops


def test_it_opens_after_something_new_and_closes_after_the_next() -> None:
    closed = SimpleNamespace(module=None)
    modules: Any = SimpleNamespace(closed=closed)
    opening = Opening(modules)
    told = []
    for new in (True, False, True, True, False):
        opening.turned(new)
        told.append(modules.closed is closed)
    assert told == [True, True, False, True, True]
    closed.module = nn.Identity()  # a call that is closed right now
    opening.turned(True)
    assert modules.closed is closed


def test_what_a_look_inside_shows_is_no_reason_for_another() -> None:
    closed = SimpleNamespace(module=None)
    modules: Any = SimpleNamespace(closed=closed)
    opening = Opening(modules)
    told = []
    for new in (True, True, False, True, False):  # the fourth is the one that was looked into
        opening.turned(new)
        told.append(modules.closed is closed)
    assert told == [True, False, True, True, True]
    assert opening.looked_into == 1


def test_values_are_left_out_while_nothing_is_new_and_that_is_said() -> None:
    def valued(iterations: int) -> tuple[list[bool], bool]:
        with Probe(watch=True, leaves=["z0"]) as probe:
            optimised(Net(range(40, 10_000)), probe, iterations)
        report = probe.report()
        measured = [s.value is not None for s in report.stages if s.name == "denoised_output"]
        return measured, any("values that modules gave" in sentence for sentence in report.unseen)

    assert valued(4) == ([True, True], False)
    assert valued(18) == ([False, False], True)
    with Probe(watch=True, leaves=["z0"]) as probe:
        optimised(Net(range(40, 10_000)), probe, 24)
    calls = probe._recorder.modules.calls
    assert any(call.values is None for call in calls)
    assert calls[-1].values is not None  # around what is new they are measured again


class Guided(nn.Module):
    """Takes a gradient inside of its forward, of another kind from some call on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        own = x.detach().requires_grad_()
        energy = (own * (0.0 if self.calls > 12 else 1.0)).square().sum()
        (slope,) = torch.autograd.grad(energy, own)
        return x - 0.1 * slope


def test_a_backward_inside_of_a_closed_call_leaves_it_closed_and_all_behind_it_recorded() -> None:
    net = Guided()
    with Probe(watch=True) as probe:
        z0 = torch.ones(4, requires_grad=True)
        for _ in range(8):
            x = net(net(z0 * 2.0))
            x.square().sum().backward()
        lost = (z0 * 3.0).detach()  # <- behind
        (lost * z0).sum().backward()
        assert probe._recorder.mode.pauses == 0
    assert any(f.at.source.strip().startswith("lost =") for f in probe.report().findings)


def test_the_records_stay_as_small_and_the_values_as_they_are() -> None:
    plain, _ = optimised(Net(range(640, 10_000)), None, 500)
    with Probe(watch=True, leaves=["z0"]) as probe:
        watched, sizes = optimised(Net(range(640, 10_000)), probe, 500)
    assert torch.equal(plain, watched)
    # What is kept of an iteration is a line about its gradient.
    assert sizes[299] - sizes[99] < 200 * 100
    assert sizes[499] - sizes[399] < 100 * 100
