"""Gradients that are held as they come by are told as they were then, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe import Probe
from gradprobe.capture import stage_search
from gradprobe.capture.stage_hooks import StageHooks, Way
from gradprobe.records.norms import PassNorms

TURNS = 20


class Doubled(torch.autograd.Function):
    """Writes the gradient that it is given, as no backward should: in some turns."""

    writes = False

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.mul_(2.0) if Doubled.writes else grad * 2.0


NAMES = ("start_state", "step_input/1", "step_input/2", "final_output")


class Loop:
    """An optimisation over three steps; with hooks of its own it keeps the norms of its states."""

    def __init__(self, written: Any = lambda turn: False, steps: Any = lambda turn: 3) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).requires_grad_(False)
        self.z0 = torch.randn(2, 4, requires_grad=True)
        self.written, self.steps = written, steps
        self.own: list[dict[str, float]] = []

    def turn(self, number: int, hooks: bool = False) -> None:
        Doubled.writes = self.written(number)
        states = [self.z0 * 2.0]
        for _ in range(self.steps(number)):
            # Both terms are given the very gradient of the sum.
            states.append(states[-1] + Doubled.apply(self.net(states[-1])))
        own: dict[str, float] = {}
        names = (*NAMES[: len(states) - 1], NAMES[-1])
        for name, state in zip(names, states, strict=True) if hooks else ():
            state.register_hook(lambda grad, name=name: own.__setitem__(name, float(grad.norm())))
        self.z0.grad = None
        states[-1].square().mean().backward()
        self.own.append(own)


def by_hand(*given: Any) -> list[dict[str, float]]:
    loop = Loop(*given)
    for number in range(TURNS):
        loop.turn(number, hooks=True)
    return loop.own


def told_by(loop: Loop, watch: bool = True) -> list[dict[str, float]]:
    told: list[PassNorms] = []
    with Probe(watch=watch, on_backward=told.append) as probe:
        for number in range(TURNS):
            loop.turn(number)
    assert not any("not looked for" in sentence for sentence in probe._recorder.unseen)
    return [{key.path: norm for key, norm in seen.norms.items()} for seen in told]


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[Way]:
    """In which way each pass was measured."""
    found: list[Way] = []
    original = stage_search._way

    def noted(*given: Any) -> Way:
        found.append(original(*given))
        return found[-1]

    monkeypatch.setattr(stage_search, "_way", noted)
    return found


@pytest.mark.parametrize("watch", [False, True])
def test_held_gradients_are_those_that_hooks_see(ways: list[Way], watch: bool) -> None:
    told = told_by(Loop(), watch)
    assert Way.MEASURE in ways
    assert ways[-5:] == [Way.HOLD] * 5
    for norms, own in zip(told, by_hand(), strict=True):
        assert {name: norms[name] for name in NAMES} == pytest.approx(own, rel=1e-6)


def test_what_is_written_behind_a_held_gradient_is_not_told(ways: list[Way]) -> None:
    late = 15
    told, own = told_by(Loop(lambda turn: turn == late)), by_hand(lambda turn: turn == late)
    assert (ways[late - 1], ways[late], ways[late + 1]) == (Way.HOLD, Way.HOLD, Way.BOTH)
    assert ways[-1] is Way.HOLD
    for number, (norms, expected) in enumerate(zip(told, own, strict=True)):
        missing = set(NAMES) - set(norms)
        assert bool(missing) == (number == late)
        assert norms == pytest.approx({**norms, **{n: expected[n] for n in set(NAMES) - missing}})


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_turns_of_two_kinds_are_both_told(watch: bool, every: int) -> None:
    def kinds(turn: int) -> int:
        return 2 if turn % every else 3

    told = told_by(Loop(steps=kinds), watch)
    for norms, own in zip(told, by_hand(lambda turn: False, kinds), strict=True):
        assert {name: norms[name] for name in own} == pytest.approx(own, rel=1e-6)
        assert sum(name.startswith("denoised_output/") for name in norms) == len(own) - 1


def test_where_every_turn_writes_them_each_is_measured_as_it_comes(ways: list[Way]) -> None:
    told, own = told_by(Loop(lambda turn: True)), by_hand(lambda turn: True)
    assert Way.HOLD not in ways
    assert ways[-1] is Way.BOTH
    for norms, expected in zip(told, own, strict=True):
        assert {name: norms[name] for name in NAMES} == pytest.approx(expected, rel=1e-6)


def test_large_gradients_are_not_held(ways: list[Way], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_search, "_HELD", 10)
    told = told_by(Loop())
    assert set(ways) == {Way.MEASURE}
    assert all("step_input/2" in norms for norms in told)


def test_they_are_held_of_the_last_passes_only() -> None:
    loop = Loop()
    with Probe(watch=True) as probe:
        for number in range(TURNS):
            loop.turn(number)
        passes = probe._recorder.passes.passes
        waiting = [seen.stages for seen in passes if seen.stages and not seen.stages._measured]
        assert 1 <= len(waiting) <= 3
    stages = [s for s in probe.report().stages if s.name == "step_input"]
    assert all(s.grad is not None and s.grad.norm > 0 for s in stages)


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("writes", [False, True])
def test_gradients_are_bitwise_those_without_a_probe(watch: bool, writes: bool) -> None:
    def grads(probed: bool) -> list[Tensor]:
        loop, found = Loop(lambda turn: writes), []
        with Probe(watch=watch) if probed else torch.enable_grad():
            for number in range(TURNS):
                loop.turn(number)
                assert loop.z0.grad is not None
                found.append(loop.z0.grad.clone())
        return found

    assert all(map(torch.equal, grads(True), grads(False)))


def test_a_long_loop_is_measured_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on nodes is for graphs that hang together, which turns of a loop do not."""
    monkeypatch.setattr(stage_search, "_WALK", 100)
    told = told_by(Loop())
    assert all("step_input/2" in norms for norms in told)


def test_a_fault_of_ours_costs_the_stages_and_not_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: Any) -> bool:
        raise RuntimeError("ours")

    monkeypatch.setattr(StageHooks, "over", broken)
    loop = Loop()
    with Probe(watch=True) as probe:
        for number in range(TURNS):
            loop.turn(number)
    assert loop.z0.grad is not None
    assert any("not measured to the end" in sentence for sentence in probe.report().unseen)
