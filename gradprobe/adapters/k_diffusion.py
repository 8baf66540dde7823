"""k-diffusion: the samplers of `k_diffusion.sampling`, the wrappers of `k_diffusion.external`.

A step is a turn of the loop over `i`, from `sigmas[i]` to `sigmas[i + 1]`; of `sample_dpm_adaptive`
it is an accepted step, with the attempts that were rejected before it. DPMSolver counts in
`t = -log(sigma)`, so that its steps have no noise level here, but its denoiser calls do.
`log_likelihood` samples nothing.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_SAMPLING = "k_diffusion.sampling"

# Of each sampler that loops over `i`, the noise level of its first denoiser call in a step.
_FIRST = {
    "sample_euler": "sigma_hat",
    "sample_euler_ancestral": "sigmas[i]",
    "sample_heun": "sigma_hat",
    "sample_dpm_2": "sigma_hat",
    "sample_dpm_2_ancestral": "sigmas[i]",
    "sample_lms": "sigmas[i]",
    "sample_dpmpp_2s_ancestral": "sigmas[i]",
    "sample_dpmpp_sde": "sigmas[i]",
    "sample_dpmpp_2m": "sigmas[i]",
    "sample_dpmpp_2m_sde": "sigmas[i]",
    "sample_dpmpp_3m_sde": "sigmas[i]",
}

_UNTOLD = "untold"  # no variable: the level is made in the call

# Of those that call it again in a step, the second's.
_SECOND = {
    "sample_heun": "sigmas[i + 1]",
    "sample_dpm_2": "sigma_mid",
    "sample_dpm_2_ancestral": "sigma_mid",
    "sample_dpmpp_2s_ancestral": _UNTOLD,
    "sample_dpmpp_sde": _UNTOLD,
}

# Those whose `d` is the derivative; sample_dpmpp_3m_sde calls a difference so.
_DERIVATIVE = (
    "sample_euler",
    "sample_euler_ancestral",
    "sample_heun",
    "sample_dpm_2",
    "sample_dpm_2_ancestral",
    "sample_lms",
    "sample_dpmpp_2s_ancestral",
    "sample_dpmpp_sde",
)


def _stage(
    name: str, function: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _SAMPLING, function, variable, sigma, keep)


_LOOPS = (
    *(_stage("start_state", f, "x", "sigmas[0]", "first of call") for f in _FIRST),
    *(_stage("denoised_output", f, "denoised", sigma) for f, sigma in _FIRST.items()),
    *(_stage("denoised_output", f, "denoised_2", sigma) for f, sigma in _SECOND.items()),
    *(_stage("d", f, "d", _FIRST[f]) for f in _DERIVATIVE),
    _stage("d_2", "sample_heun", "d_2", "sigmas[i + 1]"),
    _stage("d_prime", "sample_heun", "d_prime"),
    _stage("d_2", "sample_dpm_2", "d_2", "sigma_mid"),
    _stage("d_2", "sample_dpm_2_ancestral", "d_2", "sigma_mid"),
    _stage("denoised_d", "sample_dpmpp_sde", "denoised_d"),
    _stage("denoised_d", "sample_dpmpp_2m", "denoised_d"),
    *(_stage("step_output", f, "x", "sigmas[i + 1]", "last of step") for f in _FIRST),
    *(_stage("final_output", f, "x", None, "last of call") for f in _FIRST),
)

_DPM_SOLVER = (
    _stage("start_state", "sample_dpm_fast", "x", "sigma_max", "first of call"),
    _stage("start_state", "sample_dpm_adaptive", "x", "sigma_max", "first of call"),
    _stage("eps", "DPMSolver.eps", "eps", "sigma"),
    _stage("denoised", "DPMSolver.dpm_solver_fast", "denoised"),
    _stage("denoised", "DPMSolver.dpm_solver_adaptive", "denoised"),
    _stage("step_output", "DPMSolver.dpm_solver_fast", "x", None, "last of step"),
    _stage("step_output", "DPMSolver.dpm_solver_adaptive", "x", None, "last of step"),
    _stage("final_output", "DPMSolver.dpm_solver_fast", "x", None, "last of call"),
    _stage("final_output", "DPMSolver.dpm_solver_adaptive", "x", None, "last of call"),
)

_WRAPPERS = (
    Selector(
        "eps",
        "k_diffusion.external",
        "DiscreteEpsDDPMDenoiser.forward",
        "eps",
        sigma="sigma",
    ),
)

ADAPTER = Adapter(
    "k_diffusion",
    selectors=(*_LOOPS, *_DPM_SOLVER, *_WRAPPERS),
    clocks=(
        *(Clock(_SAMPLING, f, "i", step="i", sigma="sigmas[i]") for f in _FIRST),
        Clock(_SAMPLING, "DPMSolver.dpm_solver_fast", "i", step="i"),
        Clock(_SAMPLING, "DPMSolver.dpm_solver_adaptive", "eps_cache", step="info['n_accept']"),
    ),
)
