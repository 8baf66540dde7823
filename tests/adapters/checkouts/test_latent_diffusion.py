"""The samplers of latent diffusion in a checkout: DDIM, PLMS, and DDPM in `ddpm.py`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from gradprobe import Probe
from tests.adapters.checkouts.conftest import Checkout
from tests.adapters.checkouts.denoisers import Denoiser
from tests.adapters.truth import Stages, Step, Truth, assert_told, holds

HERE = "latent/ldm/models/diffusion"
BETAS = torch.linspace(0.02, 0.2, 20)
Z0 = torch.linspace(-1.2, 1.2, 48).reshape(1, 3, 4, 4)
SHAPE = tuple(Z0.shape)
COND = torch.tensor([0.5])

START: Stages = [("start_state", None)]
FINAL: Stages = [("final_output", None)]

# Four of twenty timesteps: every fifth, plus 1, from the highest on.
TIMES = (16.0, 11.0, 6.0, 1.0)


class Latent(torch.nn.Module):
    """What DDIM and PLMS ask of a model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = Denoiser()
        self.alphas_cumprod = torch.cumprod(1 - BETAS, dim=0)

    def apply_model(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        output: Tensor = self.net(x, t, c)
        return output

    def q_sample(self, x0: Tensor, t: Tensor) -> Tensor:
        return self.alphas_cumprod[t].sqrt().view(-1, 1, 1, 1) * x0


def grad_left_on(monkeypatch: pytest.MonkeyPatch, kind: type, *methods: str) -> None:
    for method in methods:
        monkeypatch.setattr(kind, method, vars(kind)[method].__wrapped__)


def ddim(module: ModuleType, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    kind = module.DDIMSampler
    grad_left_on(monkeypatch, kind, "sample", "ddim_sampling", "p_sample_ddim", "decode")
    sampler = kind(Latent())

    def program(z0: Tensor) -> Tensor:
        output: Tensor = sampler.sample(4, 1, SHAPE[1:], COND, x_T=z0, **options)[0]
        return output

    return program


def ddim_truth(*more: str) -> Truth:
    """`more` are the variables of guidance, before the mix."""
    stages: Stages = (
        "step_input",
        *more,
        "e_t",
        "pred_x0",
        "step_noise",
        "step_output",
    )
    return Truth(START, [Step(t, 1, stages) for t in TIMES], FINAL)


@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_ddim(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, eta: float) -> None:
    module = checkout(f"{HERE}/ddim.py")
    holds(ddim(module, monkeypatch, eta=eta), Z0, ddim_truth())


def test_ddim_with_guidance_in_one_batch(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = ddim(
        checkout(f"{HERE}/ddim.py"),
        monkeypatch,
        unconditional_guidance_scale=2.0,
        unconditional_conditioning=torch.tensor([-0.5]),
    )
    report = holds(program, Z0, ddim_truth("e_t_uncond"))
    mixed = [stage.at for stage in report.stages if stage.name == "e_t"]
    assert [at.source.strip() for at in mixed if at is not None] == [
        "e_t = torch.lerp(e_t_uncond, e_t, unconditional_guidance_scale)"
    ] * 4


def test_ddim_with_a_mask(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """`img` is then assigned twice a turn: the start state is only the first."""
    mask = torch.zeros(SHAPE)
    mask[..., :2] = 1
    program = ddim(checkout(f"{HERE}/ddim.py"), monkeypatch, mask=mask, x0=torch.ones(SHAPE))
    holds(program, Z0, ddim_truth())


def test_dropout_of_the_noise_is_part_of_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = checkout(f"{HERE}/ddim.py")
    program = ddim(module, monkeypatch, eta=0.6, noise_dropout=0.5)
    report = holds(program, Z0, ddim_truth())
    noise = [stage.at for stage in report.stages if stage.name == "step_noise"]
    assert {"dropout" in at.source for at in noise if at is not None} == {True}


def test_ddim_decode_begins_part_of_the_way(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = checkout(f"{HERE}/ddim.py")
    grad_left_on(monkeypatch, module.DDIMSampler, "p_sample_ddim", "decode")
    sampler = module.DDIMSampler(Latent())
    sampler.make_schedule(4)
    told = ddim_truth()
    truth = Truth(START, told.steps[1:], FINAL)
    holds(lambda z0: sampler.decode(z0, COND, 3), Z0, truth)


def test_plms_calls_the_denoiser_twice_in_its_first_step(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = checkout(f"{HERE}/plms.py")
    kind = module.PLMSSampler
    grad_left_on(monkeypatch, kind, "sample", "plms_sampling", "p_sample_plms")
    sampler = kind(Latent())
    # The second call looks ahead, at the next step's timestep.
    first: Stages = ("step_input", "e_t", ("e_t", TIMES[1]), "e_t_prime", "pred_x0")
    later: Stages = ("step_input", "e_t", "e_t_prime", "pred_x0")
    steps = [
        Step(t, 1 + (t == TIMES[0]), (*(first if t == TIMES[0] else later), "step_output"))
        for t in TIMES
    ]
    truth = Truth(START, steps, FINAL)
    holds(lambda z0: sampler.sample(4, 1, SHAPE[1:], COND, x_T=z0)[0], Z0, truth)


ANCESTRAL: Stages = ("step_input", "model_out", "x_recon", "step_noise", "step_output")


@pytest.mark.parametrize("loop", ["p_sample_loop", "progressive_denoising"])
@pytest.mark.parametrize("masked", [False, True])
def test_ancestral_sampling_of_latents(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, loop: str, masked: bool
) -> None:
    """With a mask `img` is assigned twice a turn, and the second is the step's output."""
    module = checkout(f"{HERE}/ddpm.py")
    kind = module.LatentDiffusion
    grad_left_on(monkeypatch, kind, "p_sample", loop)
    torch.manual_seed(1)
    model = kind(Denoiser(), BETAS[::4])
    mask = torch.zeros(SHAPE)
    mask[..., :2] = 1
    options = {"mask": mask, "x0": torch.ones(SHAPE)} if masked else {}

    def program(z0: Tensor) -> Tensor:
        output = getattr(model, loop)(COND, SHAPE, x_T=z0, **options)
        result: Tensor = output[0] if loop == "progressive_denoising" else output
        return result

    steps = [Step(float(t), 1, ANCESTRAL) for t in (4, 3, 2, 1, 0)]
    report = holds(program, Z0, Truth(START, steps, FINAL))
    outputs = [s.at for s in report.stages if s.name == "step_output" and s.source == "adapted"]
    assert {"mask" in at.source for at in outputs if at is not None} == {masked}


def test_ddpm_draws_its_start_itself(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    module = checkout(f"{HERE}/ddpm.py")
    grad_left_on(monkeypatch, module.DDPM, "p_sample", "p_sample_loop")
    torch.manual_seed(1)
    model = module.DDPM(Denoiser(), BETAS[::4])
    steps = [Step(float(t), 1, ANCESTRAL) for t in (4, 3, 2, 1, 0)]
    truth = Truth(START, steps, FINAL)
    with Probe() as probe:
        model.p_sample_loop(SHAPE).square().mean().backward()
    assert_told(probe.report(), truth)


def test_as_installed_the_stages_are_there_and_cut_off(checkout: Checkout) -> None:
    sampler = checkout(f"{HERE}/ddim.py").DDIMSampler(Latent())
    with Probe() as probe:
        z0 = Z0.clone().requires_grad_()
        samples, _ = sampler.sample(4, 1, SHAPE[1:], COND, x_T=z0)
        with pytest.raises(RuntimeError, match="does not require grad"):
            samples.square().mean().backward()
    report = probe.report()
    assert_told(report, ddim_truth())
    assert report.verdict == "broken"
    told = {(s.name, s.connected["z0"]) for s in report.stages if s.source == "adapted"}
    assert ("start_state", "yes") in told
    assert {answer for name, answer in told if name in ("e_t", "pred_x0", "step_output")} == {"no"}
