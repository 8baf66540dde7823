"""Single-step solvers in the log of the noise level (arXiv 2308.02157, section 3)."""

import torch


def times(factor, x):
    """`factor` (N,) times `x` (N, ...)."""
    return factor.view(-1, *[1] * (x.dim() - 1)) * x


def toward(x_s, s, t, x0):
    """From level `s` to `t` along the line to `x0`."""
    return times(t / s, x_s) + times(1 - t / s, x0)


def exponential(x_s, s, t, x0_s, s1, x0_s1):
    """Second order: `x0_s` at `s`, and `x0_s1` at another level `s1`."""
    h, c2 = torch.log(s / t), torch.log(s / s1) / torch.log(s / t)
    phi1 = -torch.expm1(-h) / h
    phi2 = (1 - phi1) / h
    mixed = times(phi1 - phi2 / c2, x0_s) + times(phi2 / c2, x0_s1)
    return times(torch.exp(-h), x_s) + times(h, mixed)


def rk1_euler(x_s, s, t, x0_fn):
    x0_s = x0_fn(x_s, s)
    return toward(x_s, s, t, x0_s), x0_s


def rk2_mid(x_s, s, t, x0_fn):
    s1 = torch.sqrt(s * t)
    x_s1, x0_s = rk1_euler(x_s, s, s1, x0_fn)
    x0_s1 = x0_fn(x_s1, s1)
    return exponential(x_s, s, t, x0_s, s1, x0_s1), x0_s1


def rk_2heun_edm(x_s, s, t, x0_fn):
    x_t, x0_s = rk1_euler(x_s, s, t, x0_fn)
    x0_t = x0_fn(x_t, t)
    mean = (x0_s + x0_t) / 2
    return toward(x_s, s, t, mean), mean


def rk_3kutta_naive(x_s, s, t, x0_fn):
    s1, s2 = (s + t) / 2, t

    def slope(x, level, x0):
        return times(1 / level, x - x0)

    x_s1, x0_s = rk1_euler(x_s, s, s1, x0_fn)
    eps_s = slope(x_s, s, x0_s)
    x0_s1 = x0_fn(x_s1, s1)
    eps_s1 = slope(x_s1, s1, x0_s1)
    x_s2 = x_s + times(t - s, 2 * eps_s1 - eps_s)
    x0_s2 = x0_fn(x_s2, s2)
    eps_s2 = slope(x_s2, s2, x0_s2)
    return x_s + times(t - s, (eps_s + 4 * eps_s1 + eps_s2) / 6), x0_s2


METHODS = {
    "1euler": rk1_euler,
    "2mid": rk2_mid,
    "2heun_edm": rk_2heun_edm,
    "3kutta_naive": rk_3kutta_naive,
}
