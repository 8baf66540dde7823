"""Gradients that are copied as they come by are told as they were then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradprobe import Probe
from gradprobe.capture import stage_search
from gradprobe.capture.shelf import Shelf
from gradprobe.capture.stage_hooks import StageHooks
from gradprobe.capture.stage_recall import Places
from gradprobe.capture.stage_search import StageSearch
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
def copied(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each pass, whether gradients were only copied in it."""
    found: list[bool] = []
    original = StageSearch._shelf_for

    def noted(search: StageSearch, places: Places) -> Shelf | None:
        shelf = original(search, places)
        found.append(shelf is not None)
        return shelf

    monkeypatch.setattr(StageSearch, "_shelf_for", noted)
    return found


@pytest.mark.parametrize("watch", [False, True])
def test_copied_gradients_are_those_that_hooks_see(copied: list[bool], watch: bool) -> None:
    told = told_by(Loop(), watch)
    assert False in copied
    assert copied[-12:] == [True] * 12
    for norms, own in zip(told, by_hand(), strict=True):
        assert {name: norms[name] for name in NAMES} == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("written", [lambda turn: turn == 15, lambda turn: True])
def test_what_is_written_behind_a_copy_is_told_as_it_came_by(
    copied: list[bool], written: Any
) -> None:
    told, own = told_by(Loop(written)), by_hand(written)
    assert copied[-1]
    for norms, expected in zip(told, own, strict=True):
        assert {name: norms[name] for name in NAMES} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_turns_of_two_kinds_are_both_told(watch: bool, every: int) -> None:
    def kinds(turn: int) -> int:
        return 2 if turn % every else 3

    told = told_by(Loop(steps=kinds), watch)
    for norms, own in zip(told, by_hand(lambda turn: False, kinds), strict=True):
        assert {name: norms[name] for name in own} == pytest.approx(own, rel=1e-6)
        assert sum(name.startswith("denoised_output/") for name in norms) == len(own) - 1


def test_large_gradients_are_not_copied(
    copied: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_search, "_COPIED", 10)
    told = told_by(Loop())
    assert True not in copied
    assert all("step_input/2" in norms for norms in told)


def test_there_are_copies_of_the_last_passes_only() -> None:
    loop = Loop()
    with Probe(watch=True) as probe:
        for number in range(TURNS):
            loop.turn(number)
        passes = probe._recorder.passes.passes
        copies = [
            found.copy
            for seen in passes
            for found in (seen.stages._every if seen.stages else ())
            if found.copy is not None
        ]
        memory = {copy.untyped_storage().data_ptr() for copy in copies}
        assert 1 <= len(memory) <= 3
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


@pytest.mark.parametrize(
    ("owner", "name", "said"),
    [
        (StageSearch, "_shelf_for", "stages were not looked for: RuntimeError('ours')"),
        (Shelf, "copy", "a stage was not measured: RuntimeError('ours')"),
        (StageHooks, "over", "stages were not measured to the end: RuntimeError('ours')"),
    ],
)
def test_a_fault_of_ours_costs_stages_and_not_the_program(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, said: str
) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(owner, name, broken)
    loop = Loop()
    with Probe(watch=True) as probe:
        for number in range(TURNS):
            loop.turn(number)
    assert loop.z0.grad is not None
    assert probe.report().verdict == "flows"
    assert said in probe.report().unseen
