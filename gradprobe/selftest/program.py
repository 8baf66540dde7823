"""The program under test: z0 through the sampler to a loss, backward, and one step of Adam.

It is written as a user would write it, with five switches, each of which breaks it in one of the
ways in which such programs break. It prints nothing and reads no value: `checks` does that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.optim.adam import adam

from gradprobe.selftest.res_sampler import Sample, SamplerConfig, StepNoise, sample

SHAPE = (1, 2, 2, 8, 8)
CHURN = 1.0  # a quarter of the noise level at each of 4 steps
LEARNING_RATE = 0.1
Z0_SEED, TARGET_SEED, NOISE_SEED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Breaks:
    """Five ways to lose the gradient of z0; all off is the healthy program.

    - `gradient_not_allowed`: the sampler runs its forward under `no_grad` (`allow_grad=False`).
    - `leaf_not_tracking`: nobody calls `z0.requires_grad_()`.
    - `forward_without_grad`: the caller runs the sampler with gradients switched off.
    - `learn_noise_off`: the sampler draws its own start state; z0 never enters.
    - `fresh_step_noise`: the step noise is drawn afresh, not derived from z0. Where z0 is also the
      start state its gradient survives; only the part through the step noise is missing.
    """

    gradient_not_allowed: bool = False
    leaf_not_tracking: bool = False
    forward_without_grad: bool = False
    learn_noise_off: bool = False
    fresh_step_noise: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the program left behind.

    `failure` is torch's message where backward raised; `before` are z0's values before Adam.
    """

    z0: Tensor
    before: Tensor
    sample: Sample
    loss: Tensor
    failure: str | None


def settings(step_noise: bool, breaks: Breaks) -> SamplerConfig:
    """The sampler's settings for a mode and its breaks: 4 Euler steps from sigma 5 to 0.5, rho 3.

    With step noise there is churn: without it every noise scale is exactly 0, and noise that is
    multiplied by 0 carries no gradient.
    """
    config = SamplerConfig(
        allow_grad=not breaks.gradient_not_allowed, learn_noise=not breaks.learn_noise_off
    )
    if not step_noise:
        return config
    source: StepNoise = "fresh" if breaks.fresh_step_noise else "from_z0"
    return replace(config, step_noise=source, s_churn=CHURN)


def through_steps_alone(config: SamplerConfig) -> SamplerConfig:
    """The same settings with z0 kept out of the start state."""
    return replace(config, learn_start=False)


def denoiser(x: Tensor, sigma: float) -> Tensor:
    """A stand-in for a network: linear, the same at every noise level."""
    return 0.7 * x + 0.1


def run_program(config: SamplerConfig, breaks: Breaks) -> Outcome:
    """Run the program once, on the CPU, always with the same numbers."""
    z0 = torch.randn(SHAPE, generator=_seeded(Z0_SEED))
    target = torch.randn(SHAPE, generator=_seeded(TARGET_SEED))
    # A start state that is not z0 starts from z0's numbers all the same: then the gradients
    # through the start and through the steps are parts of one sum.
    noise = _seeded(NOISE_SEED if config.learn_start else Z0_SEED)
    if not breaks.leaf_not_tracking:
        z0.requires_grad_()
    before = z0.detach().clone()

    with torch.set_grad_enabled(not breaks.forward_without_grad):
        result = sample(denoiser, z0, config, noise)
        loss = mse_loss(result.output, target)

    failure = None
    try:
        torch.autograd.backward(-loss)
    except RuntimeError as error:
        failure = str(error).splitlines()[0]
    if z0.grad is not None:
        adam_step(z0, z0.grad)
    return Outcome(z0, before, result, loss, failure)


def adam_step(z0: Tensor, grad: Tensor) -> None:
    """Move `z0` by the first step of Adam.

    The functional form is the arithmetic of `torch.optim.Adam`, without the second that building
    an optimiser object costs: that imports torch's compiler.
    """
    moments = [torch.zeros_like(grad)], [torch.zeros_like(grad)]
    with torch.no_grad():
        adam(
            [z0],
            [grad],
            *moments,
            max_exp_avg_sqs=[],
            state_steps=[torch.tensor(0.0)],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=LEARNING_RATE,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
