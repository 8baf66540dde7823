"""`GaussianDiffusion` in a checkout: progressive generators, timesteps that count down."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gradprobe import Probe
from tests.adapters.checkouts.conftest import Checkout
from tests.adapters.checkouts.denoisers import Denoiser
from tests.adapters.truth import Step, Truth, assert_told, holds

N = 5
BETAS = torch.linspace(0.1, 0.6, N, dtype=torch.float32)
Z0 = torch.linspace(-1.2, 1.2, 48).reshape(1, 3, 4, 4)
SHAPE = tuple(Z0.shape)
LOOPS = ["p_sample_loop", "ddim_sample_loop"]
STAGES = ("step_input", "model_output", "pred_xstart", "step_noise", "step_output")

# The timestep counts down to 0, and every step draws noise (the last one multiplies it by 0).
TRUTH = Truth([("start_state", None)], [Step(float(t), 1, STAGES) for t in range(N - 1, -1, -1)])


def sampled(diffusion: Any, loop: str, out: int = 3, **options: Any) -> Any:
    torch.manual_seed(1)
    net = Denoiser(out)

    def program(z0: Tensor) -> Tensor:
        output: Tensor = getattr(diffusion, loop)(net, SHAPE, noise=z0, **options)
        return output

    return program


@pytest.mark.parametrize("loop", LOOPS)
def test_the_loops(checkout: Checkout, loop: str) -> None:
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    holds(sampled(diffusion, loop), Z0, TRUTH)


def test_a_learned_variance_is_no_part_of_the_output(checkout: Checkout) -> None:
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS, learned=True)
    report = holds(sampled(diffusion, "p_sample_loop", out=6), Z0, TRUTH)
    outputs = [stage.shape for stage in report.stages if stage.name == "model_output"]
    assert outputs == [SHAPE] * N


def test_guidance_has_no_stage_of_its_own(checkout: Checkout) -> None:
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    program = sampled(diffusion, "p_sample_loop", cond_fn=lambda x, t: -0.1 * x)
    holds(program, Z0, TRUTH)


def test_eta_of_ddim(checkout: Checkout) -> None:
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    holds(sampled(diffusion, "ddim_sample_loop", eta=0.7), Z0, TRUTH)


@pytest.mark.parametrize("given", [True, False])
def test_the_start_is_where_it_was_assigned(checkout: Checkout, given: bool) -> None:
    """No op of the file comes before its loop, in which the adapter is met."""
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    with Probe() as probe:
        z0 = Z0.clone().requires_grad_()
        diffusion.p_sample_loop(Denoiser(), SHAPE, noise=z0 if given else None).mean().backward()
    start = next(stage.at for stage in probe.records if stage.name == "start_state")
    assert start is not None
    assert start.source.strip() == ("img = noise" if given else "img = th.randn(*shape)")


@pytest.mark.parametrize("loop", LOOPS)
def test_without_grad_the_stages_are_there_and_cut_off(checkout: Checkout, loop: str) -> None:
    module = checkout("guided/gaussian_diffusion.py")
    diffusion = module.GaussianDiffusion(BETAS, keep_grad=False)
    program = sampled(diffusion, loop)
    with Probe() as probe:
        z0 = Z0.clone().requires_grad_()
        with pytest.raises(RuntimeError, match="does not require grad"):
            program(z0).square().mean().backward()
    report = probe.report()
    assert_told(report, TRUTH)
    assert report.verdict == "broken"
    adapted = [stage for stage in report.stages if stage.source == "adapted"]
    start, first, *rest = [stage.connected["z0"] for stage in adapted]
    assert (start, first) == ("yes", "yes")  # both are z0 itself
    noise = {stage.connected["z0"] for stage in adapted if stage.name == "step_noise"}
    assert "yes" not in {*rest, *noise}


def test_a_consumer_that_works_between_the_steps(checkout: Checkout) -> None:
    """The body of the consumer's loop runs within the generator's step."""
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    torch.manual_seed(1)
    net = Denoiser()

    def program(z0: Tensor) -> Tensor:
        total = torch.zeros(())
        for out in diffusion.p_sample_loop_progressive(net, SHAPE, noise=z0):
            total = total + out["pred_xstart"].square().mean()
        return out["sample"] + total

    holds(program, Z0, TRUTH)


def test_a_loop_of_the_programs_own_has_the_stages(checkout: Checkout) -> None:
    """Which step it is, this adapter does not say then: the dataflow does."""
    diffusion = checkout("guided/gaussian_diffusion.py").GaussianDiffusion(BETAS)
    torch.manual_seed(1)
    net = Denoiser()
    with Probe() as probe:
        z0 = Z0.clone().requires_grad_()
        x = z0
        for number in reversed(range(N)):
            x = diffusion.p_sample(net, x, torch.tensor([number]))["sample"]
        x.square().mean().backward()
    adapted = [s for s in probe.records if s.source == "adapted"]
    assert [stage.name for stage in adapted] == [*STAGES] * N
    levels = [stage.sigma for stage in adapted if stage.name == "step_input"]
    assert levels == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert [stage.step for stage in adapted] == [n for n in range(N) for _ in STAGES]
