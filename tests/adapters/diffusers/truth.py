"""What each scheduler of diffusers does, written by hand from the source of its `step`.

Every row is of five steps. A step is one move from a noise level to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

STEPS = 5
ONE = (1, 1, 1, 1, 1)
NOT_LAST = (1, 1, 1, 1, 0)

# Where the levels that the scheduler publishes stand for the steps: the attribute, and the index of
# each step in it. Second-order schedulers repeat a level: the end of one step, the start of the
# next. PNDM asks twice for its second timestep; its warm-up asks four times a step.
Levels = tuple[Literal["sigmas", "timesteps"], tuple[int, ...]]
SIGMAS: Levels = ("sigmas", (0, 1, 2, 3, 4))
SIGMAS_TWICE: Levels = ("sigmas", (0, 2, 4, 6, 8))
TIMESTEPS: Levels = ("timesteps", (0, 1, 2, 3, 4))
PLMS: Levels = ("timesteps", (0, 2, 3, 4, 5))
WARM_UP: Levels = ("timesteps", (0, 4, 8, 12, 13))

# Calls of the denoiser in each step. The second-order ones end with a step of first order.
TWICE = (2, 2, 2, 2, 1)


@dataclass(frozen=True)
class Truth:
    """One scheduler: calls and records of each stage by step. `clean` None: as many as calls."""

    name: str
    scheduler: str
    levels: Levels
    calls: tuple[int, ...] = ONE
    clean: tuple[int, ...] | None = None
    noise: tuple[int, ...] = ()
    own: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> dict[str, tuple[int, ...]]:
        """By stage: how many records of it each step has."""
        clean = self.calls if self.clean is None else self.clean
        counts = {
            "step_input": ONE,
            "model_output": self.calls,
            "pred_original_sample": clean,
            "step_noise": self.noise,
            "step_output": ONE,
            **self.own,
        }
        return {name: count for name, count in counts.items() if any(count)}


TRUTHS = (
    Truth("ddim", "DDIMScheduler", TIMESTEPS),
    # It clips by default: the prediction is assigned twice, and the second one counts.
    Truth("ddim-eta", "DDIMScheduler", TIMESTEPS, noise=ONE, options={"eta": 0.5}),
    Truth("ddim-parallel", "DDIMParallelScheduler", TIMESTEPS, noise=ONE, options={"eta": 1.0}),
    Truth("ddim-cogvideox", "CogVideoXDDIMScheduler", TIMESTEPS),
    # No noise at timestep 0.
    Truth("ddpm", "DDPMScheduler", TIMESTEPS, noise=NOT_LAST),
    Truth("ddpm-parallel", "DDPMParallelScheduler", TIMESTEPS, noise=NOT_LAST),
    Truth("euler", "EulerDiscreteScheduler", SIGMAS),
    # Noise that is added to the sample before the move.
    Truth("euler-churn", "EulerDiscreteScheduler", SIGMAS, noise=ONE, options={"s_churn": 2.0}),
    # Noise is drawn in the last step too, and multiplied by zero.
    Truth("euler-ancestral", "EulerAncestralDiscreteScheduler", SIGMAS, noise=ONE),
    Truth("edm-euler", "EDMEulerScheduler", SIGMAS),
    Truth("lms", "LMSDiscreteScheduler", SIGMAS),
    Truth("heun", "HeunDiscreteScheduler", SIGMAS_TWICE, TWICE),
    Truth("kdpm2", "KDPM2DiscreteScheduler", SIGMAS_TWICE, TWICE),
    # Noise is added by the second call of a step.
    Truth(
        "kdpm2-ancestral", "KDPM2AncestralDiscreteScheduler", SIGMAS_TWICE, TWICE, noise=NOT_LAST
    ),
    # Noise is added by both calls, and is in no variable.
    Truth("dpmsolver-sde", "DPMSolverSDEScheduler", SIGMAS_TWICE, TWICE),
    Truth("deis", "DEISMultistepScheduler", SIGMAS),
    Truth("dpmsolver-2m", "DPMSolverMultistepScheduler", SIGMAS),
    Truth(
        "dpmsolver-2m-sde",
        "DPMSolverMultistepScheduler",
        SIGMAS,
        noise=ONE,
        config={"algorithm_type": "sde-dpmsolver++"},
    ),
    Truth("dpmsolver-2s", "DPMSolverSinglestepScheduler", SIGMAS),
    Truth("edm-dpmsolver-2m", "EDMDPMSolverMultistepScheduler", SIGMAS),
    # Noise of a Brownian path, in every step.
    Truth("cosine-dpmsolver", "CosineDPMSolverMultistepScheduler", SIGMAS, noise=ONE),
    Truth("unipc", "UniPCMultistepScheduler", SIGMAS),
    # Working on the noise, it predicts no clean sample.
    Truth(
        "unipc-noise",
        "UniPCMultistepScheduler",
        SIGMAS,
        clean=(),
        config={"predict_x0": False, "final_sigmas_type": "sigma_min"},
    ),
    Truth("sasolver", "SASolverScheduler", SIGMAS, noise=ONE),
    # The first step is done twice: by Euler's rule, then again with the mean of two outputs.
    Truth(
        "pndm", "PNDMScheduler", PLMS, (2, 1, 1, 1, 1), clean=(), config={"skip_prk_steps": True}
    ),
    # Three Runge-Kutta steps of four calls, then the multistep rule.
    Truth("pndm-warm-up", "PNDMScheduler", WARM_UP, (4, 4, 4, 1, 1), clean=()),
    Truth("lcm", "LCMScheduler", TIMESTEPS, noise=NOT_LAST, own={"denoised": ONE}),
    Truth("tcd", "TCDScheduler", TIMESTEPS, noise=NOT_LAST, own={"pred_noised_sample": ONE}),
    Truth(
        "tcd-eta-0",
        "TCDScheduler",
        TIMESTEPS,
        own={"pred_noised_sample": ONE},
        options={"eta": 0.0},
    ),
    # It moves along the velocity; only its stochastic form predicts a clean sample.
    Truth("flow-euler", "FlowMatchEulerDiscreteScheduler", SIGMAS, clean=()),
    Truth(
        "flow-euler-stochastic",
        "FlowMatchEulerDiscreteScheduler",
        SIGMAS,
        noise=ONE,
        config={"stochastic_sampling": True},
    ),
    Truth("flow-heun", "FlowMatchHeunDiscreteScheduler", SIGMAS_TWICE, TWICE),
    Truth("flow-lcm", "FlowMatchLCMScheduler", SIGMAS, noise=ONE),
)
