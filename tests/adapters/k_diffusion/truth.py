"""What k_diffusion.sampling does with four noise levels above zero, read from its source.

The last step goes to zero, where every sampler leaves out noise and second evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tests.adapters.truth import Stages, Step, Truth

LOWEST, HIGHEST, STEPS = 0.1, 10.0, 4


def karras(i: int) -> float:
    """Noise level `i` of Karras et al. (2022), equation 5, with rho = 7."""
    low, high = LOWEST ** (1 / 7), HIGHEST ** (1 / 7)
    return float((high + i / (STEPS - 1) * (low - high)) ** 7)


SIGMAS = (*(karras(i) for i in range(STEPS)), 0.0)


Own = Sequence[Stages]  # of each step, its stages but the last, which is always its output


def _truth(own: Own, calls: Sequence[int] = (1, 1, 1, 1)) -> Truth:
    steps = [
        Step(SIGMAS[i], calls[i], [*own[i], ("step_output", SIGMAS[i + 1])]) for i in range(STEPS)
    ]
    return Truth([("start_state", SIGMAS[0])], steps, ["final_output"])


def _corrected(second: Callable[[int], Stages]) -> Truth:
    """Two evaluations in a step, and Euler's one in the last; `second` are the second's stages."""
    return _truth([[*EULER, *second(i)] for i in range(STEPS - 1)] + [EULER], (2, 2, 2, 1))


def _middle(i: int) -> float:
    """Halfway to the next noise level, in its logarithm."""
    return math.sqrt(SIGMAS[i] * SIGMAS[i + 1])


def _middle_down(i: int) -> float:
    """The same for the level that ancestral samplers step down to, with eta = 1."""
    up = SIGMAS[i + 1] * math.sqrt(SIGMAS[i] ** 2 - SIGMAS[i + 1] ** 2) / SIGMAS[i]
    return math.sqrt(SIGMAS[i] * math.sqrt(SIGMAS[i + 1] ** 2 - up**2))


EULER = ["denoised_output", "d"]
PLAIN = ["denoised_output"]
EXTRAPOLATED = ["denoised_output", "denoised_d"]

TRUTHS = {
    "sample_euler": _truth([EULER] * STEPS),
    "sample_euler_ancestral": _truth([EULER] * STEPS),
    "sample_heun": _corrected(
        lambda i: [("denoised_output", SIGMAS[i + 1]), ("d_2", SIGMAS[i + 1]), "d_prime"]
    ),
    "sample_dpm_2": _corrected(
        lambda i: [("denoised_output", _middle(i)), ("d_2", _middle(i))],
    ),
    "sample_dpm_2_ancestral": _corrected(
        lambda i: [("denoised_output", _middle_down(i)), ("d_2", _middle_down(i))],
    ),
    "sample_lms": _truth([EULER] * STEPS),
    # These two take the derivative in the last step alone, where they are Euler's method.
    "sample_dpmpp_2s_ancestral": _truth(
        [["denoised_output", ("denoised_output", _middle_down(i))] for i in range(3)] + [EULER],
        (2, 2, 2, 1),
    ),
    "sample_dpmpp_sde": _truth(
        [["denoised_output", ("denoised_output", _middle(i)), "denoised_d"] for i in range(3)]
        + [EULER],
        (2, 2, 2, 1),
    ),
    "sample_dpmpp_2m": _truth([PLAIN, EXTRAPOLATED, EXTRAPOLATED, PLAIN]),
    "sample_dpmpp_2m_sde": _truth([PLAIN] * STEPS),
    "sample_dpmpp_3m_sde": _truth([PLAIN] * STEPS),
}

# The steps into whose state noise is mixed, once for each time. Where a sampler draws none, or
# mixes none in (the churn of sample_euler, without s_churn), there is no row.
NOISE = {
    "sample_euler_ancestral": [0, 1, 2],
    "sample_dpm_2_ancestral": [0, 1, 2],
    "sample_dpmpp_2s_ancestral": [0, 1, 2],
    "sample_dpmpp_sde": [0, 0, 1, 1, 2, 2],
    "sample_dpmpp_2m_sde": [0, 1, 2],
    "sample_dpmpp_3m_sde": [0, 1, 2],
}
