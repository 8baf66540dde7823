"""EDM's samplers (T. Karras et al., arXiv 2206.00364), as in a checkout's `generate.py`.

A step is a turn of the loop. `x_next` is first the start state, in a step first Euler's answer and
then Heun's, so only the last of a step is its output. `denoised` is the answer at `t_hat`, and then
the one at the step's end. The step noise has no variable.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_FILE = "generate.py"


def _stage(
    name: str, function: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _FILE, function, variable, sigma, keep)


def _sampler(function: str, corrected: str) -> tuple[Selector, ...]:
    """`corrected` is the noise level of the second evaluation."""
    return (
        _stage("start_state", function, "x_next", "t_steps[0]", "first of call"),
        _stage("step_input", function, "x_hat", "t_hat"),
        _stage("denoised_output", function, "denoised", "t_hat", "first of step"),
        _stage("denoised_output", function, "denoised", corrected, "rest of step"),
        _stage("d_cur", function, "d_cur", "t_hat"),
        _stage("d_prime", function, "d_prime", corrected),
        _stage("step_output", function, "x_next", "t_next", "last of step"),
        _stage("final_output", function, "x_next", keep="last of call"),
    )


ADAPTER = Adapter(
    "edm",
    selectors=(*_sampler("edm_sampler", "t_next"), *_sampler("ablation_sampler", "t_prime")),
    clocks=(
        Clock(_FILE, "edm_sampler", "i", step="i", sigma="t_cur"),
        Clock(_FILE, "ablation_sampler", "i", step="i", sigma="t_cur"),
    ),
)
