"""denoising_diffusion_pytorch: its Gaussian diffusions, and `ElucidatedDiffusion`.

A step is one denoising of the image: a call of `p_sample`, also from a loop of one's own, or a
turn of a sampler's own loop. Noise levels are timesteps, of the continuous-time classes times, of
`ElucidatedDiffusion` sigmas. Noise that a sampler draws even where its weight is zero (DDIM without
eta, `ElucidatedDiffusion` without churn) is not told here, nor is RePaint, which goes back in time.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Selector

_PACKAGE = "denoising_diffusion_pytorch"

# Where a class counts timesteps, and where its loops return what is named `ret`, else `img`.
_TIMESTEPS = {
    f"{_PACKAGE}.denoising_diffusion_pytorch": "ret",
    f"{_PACKAGE}.denoising_diffusion_pytorch_1d": "img",
    f"{_PACKAGE}.classifier_free_guidance": "img",
    f"{_PACKAGE}.guided_diffusion": "ret",
}

# Where a class counts times from 1 to 0, and what it calls its denoiser's result.
_TIMES = {
    f"{_PACKAGE}.continuous_time_gaussian_diffusion": "pred_noise",
    f"{_PACKAGE}.v_param_continuous_time_gaussian_diffusion": "pred_v",
    f"{_PACKAGE}.simple_diffusion": "pred",
}

_ELUCIDATED = f"{_PACKAGE}.elucidated_diffusion"
_EDM = "ElucidatedDiffusion.sample"
_DPMPP = "ElucidatedDiffusion.sample_using_dpmpp"


def _timesteps(place: str, final: str) -> tuple[Selector, ...]:
    return (
        Selector("start_state", place, "*.p_sample_loop", "img", None, "first of call"),
        Selector("start_state", place, "*.ddim_sample", "img", None, "first of call"),
        Selector("step_input", place, "*.p_sample", "x", "t", "first of call"),
        Selector("model_output", place, "*.model_predictions", "model_output", "t"),
        Selector("x_start", place, "*.p_sample", "x_start", "t"),
        Selector("pred_noise", place, "*.ddim_sample", "pred_noise", "time"),
        Selector("x_start", place, "*.ddim_sample", "x_start", "time"),
        Selector("step_noise", place, "*.p_sample", "noise", "t"),
        Selector("step_output", place, "*.p_sample", "pred_img"),
        Selector("step_output", place, "*.ddim_sample", "img", "time_next", "first of step"),
        Selector("final_output", place, "*.p_sample_loop", final, None, "last of call"),
        Selector("final_output", place, "*.ddim_sample", final, None, "last of call"),
    )


def _times(place: str, output: str) -> tuple[Selector, ...]:
    return (
        Selector("start_state", place, "*.p_sample_loop", "img", None, "first of call"),
        Selector("step_input", place, "*.p_sample", "x", "time", "first of call"),
        Selector("denoised_output", place, "*.p_mean_variance", output, "time"),
        Selector("x_start", place, "*.p_mean_variance", "x_start", "time"),
        Selector("step_noise", place, "*.p_sample", "noise", "time"),
        Selector("step_output", place, "*.p_sample_loop", "img", "steps[i + 1]", "first of step"),
        Selector("final_output", place, "*.p_sample_loop", "img", None, "last of call"),
    )


ADAPTER = Adapter(
    "denoising_diffusion_pytorch",
    selectors=(
        *(stage for place, final in _TIMESTEPS.items() for stage in _timesteps(place, final)),
        *(stage for place, output in _TIMES.items() for stage in _times(place, output)),
        Selector("start_state", _ELUCIDATED, _EDM, "images", "init_sigma", "first of call"),
        Selector("step_input", _ELUCIDATED, _EDM, "images_hat", "sigma_hat"),
        Selector("denoised_output", _ELUCIDATED, _EDM, "model_output", "sigma_hat"),
        Selector("denoised_output", _ELUCIDATED, _EDM, "model_output_next", "sigma_next"),
        Selector("step_output", _ELUCIDATED, _EDM, "images_next", "sigma_next", "last of step"),
        Selector("start_state", _ELUCIDATED, _DPMPP, "images", "sigmas[0]", "first of call"),
        Selector("denoised_output", _ELUCIDATED, _DPMPP, "denoised", "sigmas[i]"),
        Selector("denoised_d", _ELUCIDATED, _DPMPP, "denoised_d", "sigmas[i]"),
        Selector("step_output", _ELUCIDATED, _DPMPP, "images", "sigmas[i + 1]", "first of step"),
    ),
    clocks=(
        *(Clock(place, "*.p_sample", "pred_img", sigma="t", ends=True) for place in _TIMESTEPS),
        *(Clock(place, "*.ddim_sample", "time", sigma="time") for place in _TIMESTEPS),
        *(Clock(place, "*.p_sample_loop", "i", step="i", sigma="steps[i]") for place in _TIMES),
        # Each turn assigns `sigma` twice: as a tensor, then as a number.
        Clock(_ELUCIDATED, _EDM, "sigma", sigma="sigma", per=2),
        Clock(_ELUCIDATED, _DPMPP, "i", step="i", sigma="sigmas[i]"),
    ),
)
