"""The samplers of latent diffusion and Stable Diffusion 1: `ddim.py`, `plms.py`, and `ddpm.py`.

A step is a turn of the sampling loop. `img` is the start state, may be mixed with a masked image,
and then takes the step's output; in DDIM and PLMS that output has a variable of its own. The first
step of PLMS calls the denoiser twice, and what it makes of the first answer is no output. The final
output is the sampler's: decoding it is the program's affair.

DDIM's `noise` is scaled already: zero where eta is. PLMS takes eta 0 alone, and has no step noise.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_DDIM, _PLMS, _DDPM = "DDIMSampler", "PLMSSampler", "DDPM"
_LATENT = "LatentDiffusion"
_FILES = {_DDIM: "ddim.py", _PLMS: "plms.py", _DDPM: "ddpm.py", _LATENT: "ddpm.py"}


def _stage(
    name: str, of: str, method: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _FILES[of], f"{of}.{method}", variable, sigma, keep)


def _ancestral(of: str, *loops: str) -> tuple[Selector, ...]:
    """The DDPM sampler of `ddpm.py`: its output has no variable but the loop's."""
    return (
        *(_stage("start_state", of, loop, "img", keep="first of call") for loop in loops),
        *(_stage("step_output", of, loop, "img", keep="last of step") for loop in loops),
        *(_stage("final_output", of, loop, "img", keep="last of call") for loop in loops),
        _stage("step_input", of, "p_sample", "x", "t"),
        _stage("step_noise", of, "p_sample", "noise", "t", "last of call"),
        _stage("model_out", of, "p_mean_variance", "model_out", "t", "last of call"),
        _stage("x_recon", of, "p_mean_variance", "x_recon", "t", "last of call"),
    )


def _clock(of: str, loop: str, sigma: str) -> Clock:
    return Clock(_FILES[of], f"{of}.{loop}", "i", sigma=sigma)


ADAPTER = Adapter(
    "latent_diffusion",
    selectors=(
        _stage("start_state", _DDIM, "ddim_sampling", "img", keep="first of call"),
        _stage("start_state", _DDIM, "decode", "x_dec", keep="first of call"),
        _stage("step_input", _DDIM, "p_sample_ddim", "x", "t"),
        _stage("e_t", _DDIM, "p_sample_ddim", "e_t", "t", "last of call"),
        _stage("e_t_uncond", _DDIM, "p_sample_ddim", "e_t_uncond", "t"),
        _stage("pred_x0", _DDIM, "p_sample_ddim", "pred_x0", "t", "last of call"),
        _stage("step_noise", _DDIM, "p_sample_ddim", "noise", "t", "last of call"),
        _stage("step_output", _DDIM, "p_sample_ddim", "x_prev"),
        _stage("final_output", _DDIM, "ddim_sampling", "img", keep="last of call"),
        _stage("final_output", _DDIM, "decode", "x_dec", keep="last of call"),
        _stage("start_state", _PLMS, "plms_sampling", "img", keep="first of call"),
        _stage("step_input", _PLMS, "p_sample_plms", "x", "t"),
        _stage("e_t", _PLMS, "p_sample_plms.get_model_output", "e_t", "t", "last of call"),
        _stage("e_t_prime", _PLMS, "p_sample_plms", "e_t_prime", "t"),
        _stage("pred_x0", _PLMS, "p_sample_plms", "pred_x0", "t", "last of call"),
        _stage("step_output", _PLMS, "p_sample_plms", "x_prev", keep="last of call"),
        _stage("final_output", _PLMS, "plms_sampling", "img", keep="last of call"),
        *_ancestral(_DDPM, "p_sample_loop"),
        *_ancestral(_LATENT, "p_sample_loop", "progressive_denoising"),
    ),
    clocks=(
        _clock(_DDIM, "ddim_sampling", "step"),
        _clock(_DDIM, "decode", "step"),
        _clock(_PLMS, "plms_sampling", "step"),
        _clock(_DDPM, "p_sample_loop", "i"),
        _clock(_LATENT, "p_sample_loop", "i"),
        _clock(_LATENT, "progressive_denoising", "i"),
    ),
)
