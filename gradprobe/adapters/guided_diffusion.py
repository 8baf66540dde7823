"""The `GaussianDiffusion` of improved-diffusion and guided-diffusion, and of what grew from them.

Their `gaussian_diffusion.py` share functions, variables and meanings; guided-diffusion adds
`cond_fn`. A step is a turn of the progressive loops, whose timestep counts down to 0 (with respaced
timesteps it is the index among those that are used). A loop that a program writes around `p_sample`
has the same stages, and no steps of this adapter's.

`model_output` is what the network predicts, without the channels of a learned variance; the mean of
`p_sample` and the guided `pred_xstart` live in dicts and have no variable.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_FILE = "gaussian_diffusion.py"
_CLASS = "GaussianDiffusion"


def _stage(
    name: str, method: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _FILE, f"{_CLASS}.{method}", variable, sigma, keep)


def _step(method: str) -> tuple[Selector, ...]:
    return (
        _stage("step_input", method, "x", "t", "first of call"),
        _stage("step_noise", method, "noise", "t"),
        _stage("step_output", method, "sample", keep="last of call"),
    )


ADAPTER = Adapter(
    "guided_diffusion",
    selectors=(
        _stage("start_state", "p_sample_loop_progressive", "img", keep="first of call"),
        _stage("start_state", "ddim_sample_loop_progressive", "img", keep="first of call"),
        *_step("p_sample"),
        *_step("ddim_sample"),
        _stage("model_output", "p_mean_variance", "model_output", "t", "last of call"),
        _stage("pred_xstart", "p_mean_variance", "pred_xstart", "t", "last of call"),
    ),
    clocks=(
        Clock(_FILE, f"{_CLASS}.p_sample_loop_progressive", "i", sigma="i"),
        Clock(_FILE, f"{_CLASS}.ddim_sample_loop_progressive", "i", sigma="i"),
    ),
)
