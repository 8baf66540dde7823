"""Norms told while a program runs are those of torch's own gradients, pass by pass."""

from __future__ import annotations

import math
from typing import Any

import diffusers
import pytest
import torch
from torch import nn

import gradprobe
from gradprobe import Probe
from gradprobe.records.norms import PassNorms, StageKey

TURNS, STEPS = 30, 3


def norms_of(turn: Any, turns: int = TURNS, **options: Any) -> tuple[list[PassNorms], Probe]:
    told: list[PassNorms] = []
    probe = Probe(on_backward=told.append, **options)
    with probe:
        for number in range(turns):
            turn(number)
    return told, probe


class Run:
    """A loop over a sampler, which keeps by itself what torch says of each gradient."""

    def __init__(self, tapped: bool = False) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).requires_grad_(False)
        self.z0 = torch.randn(2, 4, requires_grad=True)
        self.tapped = tapped
        self.expected: list[dict[str, float]] = []

    def turn(self, number: int) -> None:
        z0 = self.z0
        kept = {}
        x = start = z0 * 2.0
        for step in range(STEPS):
            out = self.net(x)
            kept[f"denoised_output/{step}"] = out
            x = x + 0.5 * out
            if step < STEPS - 1:
                kept[f"step_input/{step + 1}"] = x
            if self.tapped:
                gradprobe.tap("state", x)
                kept[f"state/{step}"] = x
        kept |= {"start_state": start, "final_output": x}
        grads = torch.autograd.grad(x.square().mean(), [z0, *kept.values()])
        self.expected.append(
            {name: float(g.norm()) for name, g in zip(["z0", *kept], grads, strict=True)}
        )


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("tapped", [False, True])
def test_they_are_the_norms_of_torchs_own_gradients(watch: bool, tapped: bool) -> None:
    run = Run(tapped)
    told, _ = norms_of(run.turn, watch=watch)
    assert [seen.index for seen in told] == list(range(TURNS))
    for seen, expected in zip(told, run.expected, strict=True):
        norms = {key.path: norm for key, norm in seen.norms.items()}
        assert norms == pytest.approx(expected, rel=1e-5)


def test_of_a_real_sampler_each_step_has_its_own() -> None:
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    ).requires_grad_(False)  # fmt: skip
    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(4)
    z0 = torch.randn(1, 1, 8, 8, requires_grad=True)
    own: list[float] = []

    def turn(number: int) -> None:
        x = z0 * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            x = scheduler.step(unet(x, t).sample, t, x).prev_sample
        z0.grad = None
        x.square().mean().backward()
        assert z0.grad is not None
        own.append(float(z0.grad.norm()))

    told, probe = norms_of(turn, 5, watch=True)
    assert [seen.norms[StageKey("z0")] for seen in told] == pytest.approx(own)
    for seen in told:
        names = {key.path for key in seen.norms}
        assert {f"denoised_output/{step}" for step in range(4)} <= names
    last = told[-1].norms
    for stage in probe.report().stages:
        if stage.name == "denoised_output" and stage.grad is not None:
            key = StageKey(stage.name, stage.step, stage.call)
            assert last[key] == pytest.approx(stage.grad.norm)


def test_a_gradient_in_each_step_numbers_its_stages_on() -> None:
    run = Run()
    told: list[PassNorms] = []
    with Probe(on_backward=told.append):
        for _ in range(3):
            x = run.z0 * 1.0
            for _ in range(STEPS):
                x = x + 0.5 * run.net(x)
                gradprobe.tap("state", x)
                (slope,) = torch.autograd.grad(x.sum(), run.z0, retain_graph=True)
                x = x - 0.1 * slope
    assert len(told) == 3 * STEPS
    first = {key.path for key in told[0].norms if key.name == "state"}
    assert first == {"state"}  # one so far
    assert {k.path for k in told[2].norms if k.name == "state"} == {f"state/{n}" for n in range(3)}


def test_what_gradient_did_not_reach_has_none_and_what_is_bad_says_so() -> None:
    run = Run()

    def turn(number: int) -> None:
        x = run.z0 * 2.0
        if number == 3:
            x = x.detach()
        (x.square().mean() * (math.nan if number == 2 else 1.0) + run.z0.sum() * 0.0).backward()

    told, _ = norms_of(turn, 5, leaves=["z0"])
    z0 = StageKey("z0")
    assert math.isnan(told[2].norms[z0])
    assert told[3].norms == {z0: 0.0}
    assert told[4].norms[z0] > 0


def test_a_named_leaf_is_told_alone_and_by_its_name() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 4)

    class Optimised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.z0 = nn.Parameter(torch.randn(2, 4))

        def forward(self) -> torch.Tensor:
            return net(self.z0 * 1.0).square().mean()

    module = Optimised()
    told, _ = norms_of(lambda number: module().backward(), 3, leaves=["z0"])
    assert [[k.name for k in seen.norms if k.name in ("z0", "self.z0")] for seen in told] == [
        ["z0"]
    ] * 3
    told, _ = norms_of(lambda number: module().backward(), 3)
    assert not any(key.name.endswith("z0") for seen in told for key in seen.norms)


def test_a_pass_that_raised_is_not_told() -> None:
    run = Run()

    def turn(number: int) -> None:
        loss = run.net(run.z0).sum()
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()

    told, _ = norms_of(turn, 2)
    assert [seen.index for seen in told] == [0, 2]


def test_who_listens_may_use_torch_unseen_and_may_fail() -> None:
    run = Run()
    calls = []

    def listen(seen: PassNorms) -> None:
        torch.stack([torch.tensor(norm) for norm in seen.norms.values()]).sum()
        calls.append(seen.index)
        if seen.index == 1:
            raise OSError("disk full")

    plain, _ = norms_of(run.turn, 4)
    ops = norms_of(run.turn, 4)[1].ops_seen
    probe = Probe(on_backward=listen)
    with probe:
        for number in range(4):
            run.turn(number)
    assert calls == [0, 1]
    assert probe.ops_seen == ops
    assert any("OSError('disk full')" in said for said in probe.report().unseen)
    assert len(plain) == 4


@pytest.mark.parametrize("watch", [False, True])
def test_gradients_and_random_numbers_are_the_same_with_and_without(watch: bool) -> None:
    def run(probe: Probe | None) -> tuple[list[torch.Tensor], torch.Tensor]:
        one = Run(tapped=True)
        grads = []
        if probe is not None:
            probe.start()
        for _ in range(4):
            one.z0.grad = None
            x = one.z0 * 2.0
            for _ in range(STEPS):
                x = x + one.net(x) + 0.1 * torch.randn_like(x)
            x.square().mean().backward()
            assert one.z0.grad is not None
            grads.append(one.z0.grad.clone())
        if probe is not None:
            probe.stop()
        return grads, torch.get_rng_state()

    alone, state = run(None)
    seen, after = run(Probe(watch=watch, on_backward=lambda norms: None))
    assert all(torch.equal(a, b) for a, b in zip(alone, seen, strict=True))
    assert torch.equal(state, after)
