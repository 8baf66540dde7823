"""The mathematics of a Refined Exponential Solver (RES): phi functions and three update rules.

From Q. Zhang, J. Song and Y. Chen, "Improved Order Analysis and Design of Exponential Integrator
for Diffusion Models Sampling", arXiv 2308.02157. With `lam = -log(sigma)` the probability-flow ODE
of a denoiser D is semi-linear, `dx/dlam = D(x, sigma) - x`. Over a step of length h its solution is

    x(lam + h) = exp(-h) x(lam) + integral_0^h exp(s - h) D(lam + s) ds,

so the linear part is solved exactly and only D is approximated. A rule of second order that keeps
its order for stiff problems has weights with `b1 + b2 = phi_1(-h)` and `b2 * c2 = phi_2(-h)`, where
c2 is the place, in units of h, at which D is known a second time. `two_point` is that rule; the
two solvers `2mid` and `2ab` differ only in c2.

Weights are Python floats computed from the noise levels; no gradient runs through them.
"""

from __future__ import annotations

import math

from torch import Tensor

_SERIES_BELOW = 1.0
_SERIES_TERMS = 18  # 1 / 20! is below the rounding of a double


def phi_1(z: float) -> float:
    """`(exp(z) - 1) / z`, and 1 at zero."""
    return math.expm1(z) / z if z else 1.0


def phi_2(z: float) -> float:
    """`(exp(z) - 1 - z) / z**2`, and 1/2 at zero.

    Near zero the closed form cancels all its digits, so its Taylor series is summed instead.
    """
    if abs(z) >= _SERIES_BELOW:
        return (math.expm1(z) - z) / (z * z)
    term = total = 0.5
    for k in range(1, _SERIES_TERMS):
        term *= z / (k + 2)
        total += term
    return total


def log_step(sigma: float, sigma_next: float) -> float:
    """The step length h in `lam = -log(sigma)`; positive when the noise falls."""
    return math.log(sigma / sigma_next)


def karras_sigmas(num_steps: int, sigma_max: float, sigma_min: float, rho: float) -> list[float]:
    """The `num_steps + 1` noise levels from `sigma_max` down to `sigma_min`, both included.

    They are evenly spaced in `sigma ** (1 / rho)` (T. Karras et al., arXiv 2206.00364, equation 5,
    without the closing zero). `rho` is called the order of the schedule in some samplers.
    """
    start, end = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    inner = [(start + i / num_steps * (end - start)) ** rho for i in range(1, num_steps)]
    return [sigma_max, *inner, sigma_min]


def one_point(x: Tensor, denoised: Tensor, h: float) -> Tensor:
    """Exponential Euler, first order: D is held at its value where the step starts.

    `x` and `denoised` have one shape; `h` is a step of `log_step`, or a part of one.
    """
    return math.exp(-h) * x + h * phi_1(-h) * denoised


def two_point(x: Tensor, denoised: Tensor, other: Tensor, h: float, c2: float) -> Tensor:
    """Second order: D is linear through `denoised` (at 0) and `other` (at `c2 * h`).

    `c2` lies in (0, 1] for a stage inside the step and is negative for an earlier step's value.
    """
    b2 = phi_2(-h) / c2
    b1 = phi_1(-h) - b2
    return math.exp(-h) * x + h * (b1 * denoised + b2 * other)
