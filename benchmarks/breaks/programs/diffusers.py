"""diffusers: the loop that people write around a scheduler, for each scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.script import IMAGE, IMAGE_DENOISER, both


@dataclass(frozen=True)
class Row:
    """A scheduler: its configuration, the number of steps, and what `step` is given beside."""

    name: str
    scheduler: str
    config: dict[str, Any] = field(default_factory=dict)
    options: str = ""
    steps: int = 4
    again: bool = True  # whether `set_timesteps` makes it forget the run before


# A DDIM that clips its prediction gives gradient only to pixels inside of the range: it is left on
# where that is the default, since most people run it so.
ROWS = (
    Row("ddim", "DDIMScheduler", {"clip_sample": False}),
    Row("ddim-eta", "DDIMScheduler", options=", eta=0.5"),
    Row("ddim-parallel", "DDIMParallelScheduler", options=", eta=1.0"),
    Row("ddim-cogvideox", "CogVideoXDDIMScheduler"),
    Row("ddim-inverse", "DDIMInverseScheduler", {"clip_sample": False}),
    Row("ddpm", "DDPMScheduler"),
    Row("ddpm-parallel", "DDPMParallelScheduler", {"clip_sample": False}),
    Row("euler", "EulerDiscreteScheduler"),
    Row("euler-churn", "EulerDiscreteScheduler", options=", s_churn=2.0"),
    Row("euler-ancestral", "EulerAncestralDiscreteScheduler"),
    Row("edm-euler", "EDMEulerScheduler"),
    Row("lms", "LMSDiscreteScheduler"),
    Row("heun", "HeunDiscreteScheduler"),
    Row("kdpm2", "KDPM2DiscreteScheduler", {"num_train_timesteps": 100}),
    Row("kdpm2-ancestral", "KDPM2AncestralDiscreteScheduler", {"num_train_timesteps": 100}),
    Row("dpmsolver-sde", "DPMSolverSDEScheduler"),
    Row("deis", "DEISMultistepScheduler"),
    Row("dpmsolver-2m", "DPMSolverMultistepScheduler"),
    Row("dpmsolver-2m-sde", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    Row("dpmsolver-3m", "DPMSolverMultistepScheduler", {"solver_order": 3}, steps=5),
    Row("dpmsolver-2s", "DPMSolverSinglestepScheduler"),
    Row("dpmsolver-inverse", "DPMSolverMultistepInverseScheduler"),
    Row("edm-dpmsolver-2m", "EDMDPMSolverMultistepScheduler"),
    Row("cosine-dpmsolver", "CosineDPMSolverMultistepScheduler"),
    Row("unipc", "UniPCMultistepScheduler"),
    Row(
        "unipc-noise",
        "UniPCMultistepScheduler",
        {"predict_x0": False, "final_sigmas_type": "sigma_min"},
    ),
    Row("sasolver", "SASolverScheduler"),
    Row("ipndm", "IPNDMScheduler", again=False),
    Row("pndm", "PNDMScheduler", {"skip_prk_steps": True}, steps=5),
    Row("pndm-warm-up", "PNDMScheduler", steps=5),
    Row("lcm", "LCMScheduler"),
    Row("tcd", "TCDScheduler"),
    Row("consistency", "CMStochasticIterativeScheduler"),
    Row("flow-euler", "FlowMatchEulerDiscreteScheduler"),
    Row("flow-euler-stochastic", "FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}),
    Row("flow-heun", "FlowMatchHeunDiscreteScheduler"),
    Row("flow-lcm", "FlowMatchLCMScheduler"),
    Row("unclip", "UnCLIPScheduler"),
)

_SETUP = (
    IMAGE_DENOISER
    + """\
scheduler = {scheduler}({config})
{frozen}"""
)

_WAY = """
scheduler.set_timesteps({steps})
x = z0 * {scale}
for t in scheduler.timesteps:
    taken = {taken}
    output = model(taken, t)
    x = scheduler.step(output, t, x{options}).prev_sample
loss = (x - target).square().mean()
"""


def programs() -> Iterator[Program]:
    for number, row in enumerate(ROWS):
        kind = getattr(import_module("diffusers"), row.scheduler)
        scaled = hasattr(kind, "scale_model_input")
        setup = _SETUP.format(
            imports=f"from diffusers import {row.scheduler}",
            scheduler=row.scheduler,
            config=", ".join(f"{name}={value!r}" for name, value in row.config.items()),
            frozen="model.requires_grad_(False)\n" if number % 2 else "",
        )
        way = _WAY.format(
            steps=row.steps,
            scale="scheduler.init_noise_sigma" if hasattr(kind(), "init_noise_sigma") else "1.0",
            taken="scheduler.scale_model_input(x, t)" if scaled else "x",
            options=row.options,
        )
        for program in both(
            "diffusers", row.name, setup=setup, shape=IMAGE, way=way, modules=(kind.__module__,)
        ):
            if row.again or not program.descent:
                yield program
