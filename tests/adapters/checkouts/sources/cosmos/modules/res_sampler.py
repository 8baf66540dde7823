"""The RES sampler (arXiv 2308.02157): our words, the names and closures of Cosmos' sampler."""

import math
from dataclasses import dataclass, field

import torch
from functional import multi_step, runge_kutta


@dataclass
class SolverConfig:
    is_multi: bool = False
    rk: str = "2mid"
    multistep: str = "2ab"
    s_churn: float = 0.0
    s_t_max: float = math.inf
    s_t_min: float = 0.05
    s_noise: float = 1.0


@dataclass
class SolverTimestampConfig:
    nfe: int = 50
    t_min: float = 0.002
    t_max: float = 80.0
    order: float = 7.0


@dataclass
class SamplerConfig:
    solver: SolverConfig = field(default_factory=SolverConfig)
    timestamps: SolverTimestampConfig = field(default_factory=SolverTimestampConfig)
    sample_clean: bool = True


def get_rev_ts(t_min, t_max, num_steps, ts_order):
    ramp = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    low, high = t_min ** (1 / ts_order), t_max ** (1 / ts_order)
    return torch.lerp(torch.tensor(high).double(), torch.tensor(low).double(), ramp) ** ts_order


class Sampler(torch.nn.Module):
    def __init__(self, cfg=None):
        super().__init__()
        self.cfg = cfg or SamplerConfig()

    @torch.no_grad()
    def forward(
        self,
        x0_fn,
        x_sigma_max,
        num_steps=35,
        sigma_min=0.002,
        sigma_max=80.0,
        rho=7.0,
        S_churn=0.0,
        S_min=0.0,
        S_max=math.inf,
        S_noise=1.0,
        solver_option="2ab",
    ):
        in_dtype = x_sigma_max.dtype

        def float64_x0_fn(x_B_StateShape, t_B):
            return x0_fn(x_B_StateShape.to(in_dtype), t_B.to(in_dtype)).double()

        multi = solver_option in multi_step.METHODS
        cfg = SamplerConfig(
            SolverConfig(multi, solver_option, solver_option, S_churn, S_max, S_min, S_noise),
            SolverTimestampConfig(num_steps, sigma_min, sigma_max, rho),
        )
        return self._forward_impl(float64_x0_fn, x_sigma_max, cfg).to(in_dtype)

    @torch.no_grad()
    def _forward_impl(
        self, denoiser_fn, noisy_input_B_StateShape, sampler_cfg=None, callback_fns=None
    ):
        cfg = sampler_cfg or self.cfg
        order = 1 if cfg.solver.is_multi else int(cfg.solver.rk[0])
        times = cfg.timestamps
        sigmas_L = get_rev_ts(times.t_min, times.t_max, times.nfe // order, times.order)
        solve = differential_equation_solver(denoiser_fn, sigmas_L, cfg.solver, callback_fns)
        denoised_output = solve(noisy_input_B_StateShape)
        if cfg.sample_clean:
            last = sigmas_L[-1].expand(denoised_output.size(0))
            denoised_output = denoiser_fn(denoised_output, last)
        return denoised_output


def fori_loop(lower, upper, body_fun, init_val):
    val = init_val
    for i in range(lower, upper):
        val = body_fun(i, val)
    return val


def differential_equation_solver(x0_fn, sigmas_L, solver_cfg, callback_fns=None):
    num_step = len(sigmas_L) - 1
    if solver_cfg.is_multi:
        update_step_fn = multi_step.METHODS[solver_cfg.multistep]
    else:
        update_step_fn = runge_kutta.METHODS[solver_cfg.rk]
    eta = min(solver_cfg.s_churn / (num_step + 1), math.sqrt(1.2) - 1)

    def sample_fn(input_xT_B_StateShape):
        ones_B = torch.ones(input_xT_B_StateShape.size(0), dtype=torch.float64)

        def step_fn(i_th, state):
            input_x_B_StateShape, x0_preds = state
            sigma_cur_0, sigma_next_0 = sigmas_L[i_th], sigmas_L[i_th + 1]
            if solver_cfg.s_t_min < sigma_cur_0 < solver_cfg.s_t_max:
                hat_sigma_cur_0 = (1 + eta) * sigma_cur_0
                lifted = torch.sqrt(hat_sigma_cur_0.square() - sigma_cur_0.square())
                drawn = solver_cfg.s_noise * torch.randn_like(input_x_B_StateShape)
                input_x_B_StateShape = input_x_B_StateShape + lifted * drawn
                sigma_cur_0 = hat_sigma_cur_0
            now, then = sigma_cur_0 * ones_B, sigma_next_0 * ones_B
            if solver_cfg.is_multi:
                x0_pred_B_StateShape = x0_fn(input_x_B_StateShape, now)
                output_x_B_StateShape, x0_preds = update_step_fn(
                    input_x_B_StateShape, now, then, x0_pred_B_StateShape, x0_preds
                )
            else:
                output_x_B_StateShape, x0_preds = update_step_fn(
                    input_x_B_StateShape, now, then, x0_fn
                )
            for callback_fn in callback_fns or ():
                callback_fn(**locals())
            return output_x_B_StateShape, x0_preds

        x_at_eps, _ = fori_loop(0, num_step, step_fn, [input_xT_B_StateShape, None])
        return x_at_eps

    return sample_fn
