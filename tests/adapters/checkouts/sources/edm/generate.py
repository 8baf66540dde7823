"""Sampling as in EDM (arXiv 2206.00364, algorithm 2): our words, the names of that repository."""

import itertools
import math

import torch


def karras(num_steps, sigma_min, sigma_max, rho):
    """The paper's noise levels (equation 5), highest first, and 0 behind the last."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def gamma_of(S_churn, num_steps, inside):
    return min(S_churn / num_steps, math.sqrt(2) - 1) if inside else 0.0


def edm_sampler(
    net,
    latents,
    class_labels=None,
    randn_like=torch.randn_like,
    num_steps=18,
    sigma_min=0.002,
    sigma_max=80.0,
    rho=7.0,
    S_churn=0.0,
    S_min=0.0,
    S_max=math.inf,
    S_noise=1.0,
):
    t_steps = karras(num_steps, sigma_min, sigma_max, rho)
    x_next = latents.double() * t_steps[0]
    for i, (t_cur, t_next) in enumerate(itertools.pairwise(t_steps)):
        x_cur = x_next
        t_hat = t_cur * (1 + gamma_of(S_churn, num_steps, bool(S_min <= t_cur <= S_max)))
        lifted = S_noise * torch.sqrt(t_hat.square() - t_cur.square())
        x_hat = x_cur + lifted * randn_like(x_cur)

        denoised = net(x_hat, t_hat, class_labels).double()
        d_cur = (x_hat - denoised).div(t_hat)
        x_next = torch.add(x_hat, d_cur * (t_next - t_hat))
        if i + 1 < num_steps:
            denoised = net(x_next, t_next, class_labels).double()
            d_prime = (x_next - denoised).div(t_next)
            x_next = torch.add(x_hat, (d_cur + d_prime) * (t_next - t_hat) / 2)
    return x_next


def ablation_sampler(
    net,
    latents,
    class_labels=None,
    randn_like=torch.randn_like,
    num_steps=18,
    sigma_min=0.002,
    sigma_max=80.0,
    rho=7.0,
    solver="heun",
    alpha=1.0,
    S_churn=0.0,
):
    """Of the paper's table 1 only the schedule sigma(t) = t without scaling, s(t) = 1."""
    t_steps = karras(num_steps, sigma_min, sigma_max, rho)
    t_next = t_steps[0]
    x_next = latents.double() * t_next
    for i, (t_cur, t_next) in enumerate(itertools.pairwise(t_steps)):
        x_cur = x_next
        t_hat = t_cur * (1 + gamma_of(S_churn, num_steps, True))
        x_hat = x_cur + torch.sqrt(t_hat.square() - t_cur.square()) * randn_like(x_cur)

        h = t_next - t_hat
        denoised = net(x_hat, t_hat, class_labels).double()
        d_cur = (x_hat - denoised).div(t_hat)
        x_prime = x_hat + alpha * h * d_cur
        t_prime = t_hat + alpha * h
        if solver == "euler" or i + 1 == num_steps:
            x_next = x_hat + h * d_cur
        else:
            denoised = net(x_prime, t_prime, class_labels).double()
            d_prime = (x_prime - denoised).div(t_prime)
            weight = 0.5 / alpha
            x_next = x_hat + h * ((1 - weight) * d_cur + weight * d_prime)
    return x_next
