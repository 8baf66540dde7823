"""The phi functions against 700 digits, the schedule against its definition, the rules' weights."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gradprobe.selftest.exponential import (
    karras_sigmas,
    log_step,
    one_point,
    phi_1,
    phi_2,
    two_point,
)

steps = st.floats(min_value=-40.0, max_value=5.0)
tiny = st.floats(min_value=-1e-3, max_value=1e-3)


@given(z=steps | tiny)
def test_phi_functions_agree_with_700_digits(z: float) -> None:
    assume(z != 0.0)
    with mpmath.workdps(700):  # the smallest double, squared, needs 662
        exact = mpmath.mpf(z)
        first = float((mpmath.exp(exact) - 1) / exact)
        second = float((mpmath.exp(exact) - 1 - exact) / exact**2)
    assert phi_1(z) == pytest.approx(first, rel=1e-14)
    assert phi_2(z) == pytest.approx(second, rel=4e-15 if abs(z) < 1 else 1e-14)


def test_phi_functions_at_zero_are_their_limits() -> None:
    assert phi_1(0.0) == 1.0
    assert phi_2(0.0) == 0.5


@given(
    num_steps=st.integers(1, 60),
    high=st.floats(1.0, 200.0),
    ratio=st.floats(1.5, 1e5),
    rho=st.floats(1.0, 9.0),
)
def test_sigmas_fall_strictly_and_are_even_in_the_rho_th_root(
    num_steps: int, high: float, ratio: float, rho: float
) -> None:
    sigmas = karras_sigmas(num_steps, high, high / ratio, rho)
    roots = [sigma ** (1 / rho) for sigma in sigmas]
    assert (sigmas[0], sigmas[-1]) == (high, high / ratio)
    assert all(a > b for a, b in pairwise(sigmas))
    gap = (roots[-1] - roots[0]) / num_steps
    for i, root in enumerate(roots):
        assert root == pytest.approx(roots[0] + i * gap, rel=1e-9)


@given(h=st.floats(1e-6, 8.0))
def test_one_point_is_exact_for_a_constant_denoiser(h: float) -> None:
    x = torch.tensor([2.0], dtype=torch.float64)
    held = torch.tensor([-3.0], dtype=torch.float64)
    expected = -3.0 + (2.0 + 3.0) * math.exp(-h)
    assert one_point(x, held, h).item() == pytest.approx(expected, rel=1e-13, abs=1e-13)


@given(h=st.floats(1e-3, 8.0), c2=st.floats(0.1, 1.0) | st.floats(-2.0, -0.1))
def test_two_point_is_exact_for_a_denoiser_linear_in_the_log_of_sigma(h: float, c2: float) -> None:
    """For D(lam) = p + q lam the solution is x(h) = p + q (h - 1) + C exp(-h)."""
    p, q, x0 = 0.7, -1.3, 2.0
    x = torch.tensor([x0], dtype=torch.float64)
    at_start = torch.tensor([p], dtype=torch.float64)
    at_c2 = torch.tensor([p + q * c2 * h], dtype=torch.float64)
    expected = p + q * (h - 1) + (x0 - p + q) * math.exp(-h)
    got = two_point(x, at_start, at_c2, h, c2).item()
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_log_step_adds_up_over_a_split_step() -> None:
    assert log_step(5.0, 2.0) + log_step(2.0, 0.5) == pytest.approx(math.log(10.0))
