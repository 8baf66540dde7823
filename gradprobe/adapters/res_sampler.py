"""The refined exponential solver of Cosmos (RES, arXiv 2308.02157): `Sampler` and what it calls.

`Sampler.forward` runs `_forward_impl`, which hands a closure `step_fn` to `fori_loop`; a call of
that closure is a step. With a multistep solver the denoiser is called in it, with a Runge-Kutta
solver by the functions of `runge_kutta.py`, once for each of their stages. The last denoiser call,
which cleans the sample, is no step.

`input_x_B_StateShape` is the state as it came, and then the one that churn lifts to the level
`hat_sigma_cur_0` (by nothing where `s_churn` is 0). Outside the bounds of churn there is no such
variable, and the level of the step's input is left open.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_FILE = "res_sampler.py"
_SOLVER = "differential_equation_solver.sample_fn"
_STEP = f"{_SOLVER}.step_fn"


def _stage(
    name: str, function: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _FILE, function, variable, sigma, keep)


def _evaluated(function: str, variable: str, sigma: str) -> Selector:
    return Selector("denoised_output", "runge_kutta.py", function, variable, sigma)


ADAPTER = Adapter(
    "res_sampler",
    selectors=(
        _stage("start_state", _SOLVER, "input_xT_B_StateShape", "sigmas_L[0]"),
        _stage("step_input", _STEP, "input_x_B_StateShape", "hat_sigma_cur_0", "last of call"),
        _stage("step_noise", _STEP, "step_noise", "sigma_cur_0"),
        _stage("denoised_output", _STEP, "x0_pred_B_StateShape", "sigma_cur_0"),
        _stage("step_output", _STEP, "output_x_B_StateShape", "sigma_next_0"),
        _stage("final_output", "Sampler._forward_impl", "denoised_output", keep="last of call"),
        _evaluated("rk1_euler", "x0_s", "s"),  # the first stage of every other one too
        _evaluated("rk2_mid_stable", "x0_s1", "s1"),
        _evaluated("rk2_mid", "x0_s1", "s1"),
        _evaluated("rk_2heun_naive", "x0_t", "t"),
        _evaluated("rk_2heun_edm", "x0_t", "t"),
        _evaluated("rk_3kutta_naive", "x0_s1", "s1"),
        _evaluated("rk_3kutta_naive", "x0_s2", "s2"),
    ),
    clocks=(Clock(_FILE, _STEP, "i_th", step="i_th", sigma="sigmas_L[i_th]"),),
)
