"""diffusers: what a scheduler's `step` holds. Enough in a loop that people write by hand.

One call of `step` moves `sample` to `prev_sample`, after the denoiser was called: so a step ends
with `prev_sample`. Second-order schedulers move in two calls, which keep the `sigma` they started
from; PNDM's warm-up keeps its `timestep`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradprobe.capture.stage_selectors import Clock, Keep, Selector

_TABLE = "self.sigmas[self._step_index]"


@dataclass(frozen=True, slots=True)
class _Update:
    """One scheduler: in which variables its update holds what, and what it counts by.

    `clean` is its prediction of the sample without noise, and in which method; `again` is what the
    calls of one step have in common, where a step takes several.
    """

    module: str
    scheduler: str
    sigma: str
    clean: str | None = "pred_original_sample"
    within: str = "step"
    noise: str | None = None
    moved: str = "prev_sample"
    again: str | None = None
    updates: tuple[str, ...] = ("step",)
    own: tuple[str, ...] = ()  # further variables, which are called as the library calls them

    @property
    def place(self) -> str:
        return f"diffusers.schedulers.scheduling_{self.module}"

    def selectors(self) -> Iterator[Selector]:
        for update in self.updates:
            yield self._selector("step_input", update, "sample", "first of step")
            # Later the name may hold the converted output, or a mean of several.
            yield self._selector("model_output", update, "model_output", "first of call")
            for variable in self.own:
                yield self._selector(variable, update, variable, "last of call")
            if self.noise is not None:
                yield self._selector("step_noise", update, self.noise, "last of call")
            yield self._selector("step_output", update, self.moved, "last of step")
        if self.clean is not None:
            yield self._selector("pred_original_sample", self.within, self.clean, "last of call")

    def _selector(self, name: str, method: str, variable: str, keep: Keep) -> Selector:
        function = f"{self.scheduler}.{method}"
        return Selector(name, self.place, function, variable, keep=keep)

    def clocks(self) -> Iterator[Clock]:
        for update in self.updates:
            yield Clock(
                self.place,
                f"{self.scheduler}.{update}",
                self.moved,
                step=self.again,
                sigma=self.sigma,
                ends=True,
            )


def _by_time(module: str, scheduler: str, moved: str = "prev_sample") -> _Update:
    """A scheduler without sigmas: it counts by the timestep."""
    return _Update(module, scheduler, "timestep", noise="variance_noise", moved=moved)


def _solver(module: str, scheduler: str, noise: str | None = None) -> _Update:
    """A multistep solver: it converts the model's output in a method of its own."""
    return _Update(module, scheduler, _TABLE, "x0_pred", "convert_model_output", noise)


UPDATES = (
    _by_time("ddim", "DDIMScheduler"),
    _by_time("ddim_parallel", "DDIMParallelScheduler"),
    _Update("ddim_cogvideox", "CogVideoXDDIMScheduler", "timestep"),
    _by_time("ddpm", "DDPMScheduler", moved="pred_prev_sample"),
    _by_time("ddpm_parallel", "DDPMParallelScheduler", moved="pred_prev_sample"),
    _Update("euler_discrete", "EulerDiscreteScheduler", "sigma", noise="noise"),
    _Update("euler_ancestral_discrete", "EulerAncestralDiscreteScheduler", "sigma", noise="noise"),
    _Update("edm_euler", "EDMEulerScheduler", "sigma", noise="noise"),
    _Update("lms_discrete", "LMSDiscreteScheduler", "sigma"),
    _Update("heun_discrete", "HeunDiscreteScheduler", "sigma", again="sigma"),
    _Update("k_dpm_2_discrete", "KDPM2DiscreteScheduler", "sigma", again="sigma"),
    _Update(
        "k_dpm_2_ancestral_discrete",
        "KDPM2AncestralDiscreteScheduler",
        "sigma",
        noise="noise",
        again="sigma",
    ),
    # Its noise is in no variable: it is drawn where it is added.
    _Update("dpmsolver_sde", "DPMSolverSDEScheduler", "sigma", again="sigma"),
    _solver("deis_multistep", "DEISMultistepScheduler"),
    _solver("dpmsolver_multistep", "DPMSolverMultistepScheduler", "noise"),
    _solver("dpmsolver_singlestep", "DPMSolverSinglestepScheduler", "noise"),
    _solver("edm_dpmsolver_multistep", "EDMDPMSolverMultistepScheduler", "noise"),
    _solver("cosine_dpmsolver_multistep", "CosineDPMSolverMultistepScheduler", "noise"),
    _solver("unipc_multistep", "UniPCMultistepScheduler"),
    _solver("sasolver", "SASolverScheduler", "noise"),
    _Update(
        "pndm",
        "PNDMScheduler",
        "timestep",
        clean=None,
        again="timestep",
        updates=("step_prk", "step_plms"),
    ),
    _Update(
        "lcm",
        "LCMScheduler",
        "timestep",
        clean="predicted_original_sample",
        noise="noise",
        own=("denoised",),
    ),
    _Update("tcd", "TCDScheduler", "timestep", noise="noise", own=("pred_noised_sample",)),
    _Update(
        "flow_match_euler_discrete",
        "FlowMatchEulerDiscreteScheduler",
        "sigma",
        clean="x0",
        noise="noise",
    ),
    _Update(
        "flow_match_heun_discrete",
        "FlowMatchHeunDiscreteScheduler",
        "sigma",
        clean="denoised",
        noise="noise",
        again="sigma",
    ),
    _Update("flow_match_lcm", "FlowMatchLCMScheduler", "sigma", clean="x0_pred", noise="noise"),
)

SELECTORS = tuple(selector for update in UPDATES for selector in update.selectors())
CLOCKS = tuple(clock for update in UPDATES for clock in update.clocks())
