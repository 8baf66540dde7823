"""azula: the samplers of `azula.sample` and the denoisers of `azula.denoise`.

A step is a turn of the sampler's loop, from the time `t` to the time `s`; a predictor-corrector's
corrections belong to the step of their predictor. Noise levels are azula's times. Step noise is
drawn inside expressions, where no variable holds it.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_SAMPLE = "azula.sample"

# These keep a history, and their loop is their own.
_HISTORY = ("zABSampler", "vABSampler", "zEABSampler", "xEABSampler", "REABSampler")


def _stage(
    name: str, function: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _SAMPLE, function, variable, sigma, keep)


ADAPTER = Adapter(
    "azula",
    selectors=(
        _stage("start_state", "*.__call__", "x", "self.start", "first of call"),
        _stage("step_input", "*.step", "x_t", "t", "first of call"),
        Selector("denoised_output", "azula.denoise", "*.forward", "mean", sigma="t"),
        *(_stage("z_t", f"{name}.__call__", "z_t", "t") for name in ("zABSampler", "zEABSampler")),
        _stage("v_t", "vABSampler.__call__", "v_t", "t"),
        _stage("f_t", "REABSampler.__call__", "f_t", "t"),
        _stage("step_output", "Sampler.__call__", "x_s", "s"),
        *(_stage("step_output", f"{name}.__call__", "x_s", "time[i + 1]") for name in _HISTORY),
        _stage("final_output", "*.__call__", "x", None, "last of call"),
    ),
    clocks=(
        Clock(_SAMPLE, "Sampler.__call__", "t", sigma="t"),
        *(Clock(_SAMPLE, f"{name}.__call__", "i", step="i", sigma="t") for name in _HISTORY),
    ),
)
